"""One module a library of models: how its models are saved, loaded and asked. Imported only when used."""
