"""Files of any size labelled by the workers of a Ray cluster, from and to any file system of pyarrow."""
