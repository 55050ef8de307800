"""multi-model-server: a model folder with a handler, and Java."""

import json
import os
import shutil
import sys
from pathlib import Path

folder = Path(os.environ["PEER_FOLDER"]) / "mms"
model = folder / "model"
(model / "MAR-INF").mkdir(parents=True)
manifest = {"runtime": "python", "model": {"modelName": "model", "handler": "handler:handle"}}
(model / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
shutil.copy(Path(__file__).with_name("handler.py"), model)
settings = {
    "inference_address": f"http://127.0.0.1:{os.environ['PEER_PORT']}",
    "management_address": f"http://127.0.0.1:{os.environ['PEER_OTHER_PORTS'].split()[0]}",
    "default_workers_per_model": os.environ["PEER_WORKERS"],
}
config = folder / "config.properties"
config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
if not shutil.which("java"):
    sys.exit("multi-model-server needs Java: apt-get install default-jre-headless")
start = ["multi-model-server", "--start", "--foreground", "--model-store", str(folder)]
os.execvp(start[0], [*start, "--models", "model=model", "--mms-config", str(config)])
