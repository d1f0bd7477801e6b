"""The name of every file in the folder of a run, once; weights and tokenizer have the names of transformers."""

OPTIONS_FILE = "run.yaml"  # the options of the run: a recipe that repeats it
DATA_FILE = "data.json"  # the SHA-256 of each split: a run goes on with the rows that it began with
RESULTS_FILE = "results.json"  # written last: its presence says that the run is finished
PREDICTIONS_FILE = "predictions.parquet"  # the scored rows, with what the model says of each
PRECISION_FILE = "precision.json"  # whether int8 and bf16 keep the labels of predictions.parquet
STATE_FILE = "trainer_state.json"  # what Trainer logged
CONFIG_FILE = "config.json"  # of the model
CARD_FILE = "README.md"  # the model card, as the Hub wants it to be called
REPORT_FILE = "report.html"
REPORT_FOLDER = "report"  # beside the page: figures as SVG and PNG, and numbers.json
NUMBERS_FILE = "numbers.json"  # in REPORT_FOLDER: all that the page shows
CHECK_FILE = "check.json"  # the findings of `hfcls check`, shown in the report if they lie here

CHECKPOINT = "checkpoint"  # checkpoint-N: the run after N optimizer steps
MODEL = "model"  # model.part: the model while it is written
SEAL_FILE = "manifest.json"  # of a checkpoint: size and SHA-256 of each of its files
ASIDE = ".part"  # ends the name of what is being written
REPLACED = ".old"  # ends the name of what is about to be deleted
