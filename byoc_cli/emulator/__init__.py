"""`byoc emulator`: SageMaker on this machine. Real containers behind SageMaker's own API, no account needed.

A request comes in through `server` → `api`, which checks it against botocore's own model of SageMaker → the room of its
operation (`training/`, `hosting/`, `transform/`), whose containers `containers` runs and whose data `storage` moves.
What there is, is in `store`. S3, STS, ECR and IAM are moto's, in the same process.
"""
