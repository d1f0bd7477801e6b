"""Labels that are not one class a text: any number of them, or a number."""
