// What is shown of a training job, an endpoint, a transform job, and when nothing is chosen.
import { Charts } from "./charts.js";
import { ago, card, duration, facts, fill, get, h, isOver, spaced, status, table } from "./dom.js";
import { Logs } from "./logs.js";
import { TryIt } from "./tryit.js";

const now = () => Date.now() / 1000;
const code = (text) => text && h("code", {}, text);

class Detail {
  constructor(kind, name, parts) {
    this.path = `${kind}/${encodeURIComponent(name)}`;
    this.parts = parts;
    this.state = h("div", { className: "state" });
    this.why = h("div", { role: "alert" });
    this.about = h("div");
    this.element = h("article", {}, h("p", { className: "back" }, h("a", { href: "#/" }, "← All")), h("h1", {}, name), this.state, this.why,
      parts.slice(0, -1).map((part) => part.element), card("About", this.about), parts.at(-1).element);
  }

  async update() {
    const told = await get(this.path);
    fill(this.why, told.FailureReason ?? "", () => told.FailureReason && h("p", { className: "failure" }, h("b", {}, "Why it failed: "), told.FailureReason));
    this.show(told);
    for (const part of this.parts) await part.update(told);
  }

  close() {
    this.parts.forEach((part) => part.close());
  }
}

function pairs(title, values) {
  const rows = Object.entries(values ?? {});
  return rows.length ? [h("h3", {}, title), table(["name", "value"], rows.map(([name, value]) => [name, code(String(value))]), title)] : [];
}

export class TrainingJob extends Detail {
  constructor(name) {
    super("training-jobs", name, [new Charts(name), new Logs(`TrainingJobs/${name}`)]);
  }

  show(told) {
    const start = told.TrainingStartTime ?? told.CreationTime, end = told.TrainingEndTime ?? (isOver(told.TrainingJobStatus) ? told.LastModifiedTime : now());
    this.state.replaceChildren(status(told.TrainingJobStatus), h("span", { className: "quiet" }, [isOver(told.TrainingJobStatus) ? null : spaced(told.SecondaryStatus ?? ""), duration(end - start), `started ${ago(told.CreationTime)}`].filter(Boolean).join(" · ")));
    fill(this.about, [told.TrainingJobStatus, told.ModelArtifacts], () => [facts([
      ["Image", code(told.AlgorithmSpecification?.TrainingImage)],
      ["Hosts", told.ResourceConfig?.InstanceCount],
      ["Channels", told.InputDataConfig?.map((each) => `${each.ChannelName} (${each.DataSource?.S3DataSource?.S3Uri ?? "no S3"})`).join(", ")],
      ["Model", code(told.ModelArtifacts?.S3ModelArtifacts)],
      ["Output", code(told.OutputDataConfig?.S3OutputPath)],
    ]), pairs("Hyperparameters", told.HyperParameters)]);
  }
}

export class Endpoint extends Detail {
  constructor(name) {
    super("endpoints", name, [new TryIt(name), new Logs(`Endpoints/${name}`)]);
  }

  show(told) {
    this.state.replaceChildren(status(told.EndpointStatus), h("span", { className: "quiet" }, `made ${ago(told.CreationTime)}, changed ${ago(told.LastModifiedTime)}`));
    const models = new Map(told.config.ProductionVariants.map((each) => [each.VariantName, each]));
    const variants = (told.ProductionVariants ?? []).map((each) => {
      const { ModelName, ServerlessConfig } = models.get(each.VariantName) ?? {};
      return [each.VariantName, ModelName, each.CurrentWeight ?? each.DesiredWeight, ServerlessConfig ? `serverless, ${ServerlessConfig.MemorySizeInMB} MB` : each.CurrentInstanceCount ?? each.DesiredInstanceCount].map((value) => String(value ?? ""));
    });
    fill(this.about, [told.EndpointStatus, variants], () => [facts([["Configuration", told.EndpointConfigName]]),
      variants.length ? table(["variant", "model", "weight", "instances"], variants, "Variants") : null]);
  }
}

export class TransformJob extends Detail {
  constructor(name) {
    super("transform-jobs", name, [new Logs(`TransformJobs/${name}`)]);
  }

  show(told) {
    const start = told.TransformStartTime ?? told.CreationTime, end = told.TransformEndTime ?? now(), { objects, finished, requests } = told.progress;
    const source = told.TransformInput, wanted = told.DataProcessing ?? {};
    this.state.replaceChildren(status(told.TransformJobStatus), h("span", { className: "quiet" }, `${duration(end - start)} · started ${ago(told.CreationTime)}`));
    if (objects) this.state.append(h("progress", { max: objects, value: finished, "aria-label": "Objects" }), h("span", { className: "quiet" }, `${finished} of ${objects} objects, ${requests} requests`));
    fill(this.about, [told.TransformJobStatus], () => [facts([
      ["Model", told.ModelName],
      ["Input", code(source.DataSource.S3DataSource.S3Uri)],
      ["Records", `${source.ContentType ?? "no content type"}, split by ${source.SplitType ?? "None"}`],
      ["Output", code(told.TransformOutput.S3OutputPath)],
      ["Assembled", `${told.TransformOutput.Accept ?? "as it comes"}, with ${told.TransformOutput.AssembleWith ?? "None"}`],
      ["Input filter", code(wanted.InputFilter)], ["Joined with", wanted.JoinSource], ["Output filter", code(wanted.OutputFilter)],
      ["Instances", told.TransformResources.InstanceCount],
    ])]);
  }
}

export class Home {
  constructor() {
    this.element = h("article", {}, h("h1", {}, "SageMaker on this machine"),
      card("Point your tools at it", h("pre", { tabIndex: 0, "aria-label": "Commands" }, 'eval "$(byoc emulator env)"\naws sagemaker list-training-jobs\nbyoc emulator logs --follow'),
        h("p", {}, "boto3, the aws command and ", h("code", {}, "byoc sagemaker"), " then speak to the emulator, unchanged. Every job and endpoint is a real container; choose one to see its metrics, its logs, and to try it.")));
  }

  async update() {}

  close() {}
}
