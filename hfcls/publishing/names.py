"""What scores and kinds of models are called where people read of them."""

# Korean, English
SCORES = {
    "accuracy": ("정확도", "Accuracy"),
    "micro_f1": ("마이크로 F1", "Micro F1"),
    "macro_f1": ("매크로 F1", "Macro F1"),
    "subset_accuracy": ("레이블이 모두 맞은 비율", "Subset accuracy"),
    "pearson": ("피어슨 상관", "Pearson"),
    "spearman": ("스피어만 상관", "Spearman"),
    "mae": ("평균 절대 오차", "Mean absolute error"),
    "r2": ("결정 계수 R²", "R²"),
    "loss": ("손실", "Loss"),
}
LOSSES = {  # by problem_type; Korean, English
    "single_label_classification": ("교차 엔트로피, nat", "cross-entropy, nats"),
    "multi_label_classification": ("이진 교차 엔트로피, nat", "binary cross-entropy, nats"),
    "regression": ("평균 제곱 오차", "mean squared error"),
}
