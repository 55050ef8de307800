"""The sample algorithm: any scikit-learn classifier or regressor on tables of numbers, booleans and text."""

# What `train` may print, for CreateTrainingJob's MetricDefinitions and for tuning jobs.
METRICS = (
    *(
        f"validation:{name}"
        for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "roc_auc", "rmse", "mae", "r2")
    ),
    "search:best_score",
)
