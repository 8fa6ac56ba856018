// Kubernetes: an Indexed Job, one index a shard. Pods that a node loses are made again and do not
// count as failures; an index that fails is tried three times; wrong input (exit code 2) is not
// tried again.
#include <fmt/format.h>

#include "sim/config/section.h"
#include "sim/sweep/submit.h"

namespace v4cap {

namespace {

std::string option_lines(const SubmitRequest& r) {
  std::string out;
  for (const std::string& line : r.option) out += "  " + line + '\n';
  return out;
}

Submission k8s(const SubmitRequest& r) {
  for (const auto& [name, value] : {std::pair{"--image", r.image}, std::pair{"--claim", r.claim}}) {
    if (!value.empty()) continue;
    throw InputError(Place{"v4cap sweep submit k8s"},
                     std::string(name) + ": expected " +
                         (name == std::string("--image")
                              ? "the container image that holds v4cap"
                              : "the persistent volume claim that holds the sweep's directory"));
  }
  SubmitRequest inside = r;
  inside.program = "v4cap";
  const std::string command = "exec " + shard_command(inside, "\"$((JOB_COMPLETION_INDEX + 1))\"");
  std::string memory;
  if (r.memory_mib > 0) memory = fmt::format(", memory: {}Mi", r.memory_mib);
  const std::string text = fmt::format(
      R"(apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {shards}
  backoffLimitPerIndex: 3
{options}  podFailurePolicy:
    rules:
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
      - action: FailIndex
        onExitCodes: {{operator: In, values: [2]}}
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: v4cap
          image: {image}
          command: [/bin/sh, -c, {command}]
          resources:
            requests: {{cpu: {jobs}{memory}}}
          volumeMounts:
            - name: sweep
              mountPath: {mount}
      volumes:
        - name: sweep
          persistentVolumeClaim:
            claimName: {claim}
)",
      fmt::arg("name", job_name(r.name)), fmt::arg("shards", r.shards),
      fmt::arg("options", option_lines(r)), fmt::arg("image", yaml_scalar(r.image)),
      fmt::arg("command", yaml_scalar(command)), fmt::arg("jobs", r.jobs),
      fmt::arg("memory", memory),
      fmt::arg("mount", yaml_scalar(r.mount.empty() ? r.directory : r.mount)),
      fmt::arg("claim", yaml_scalar(r.claim)));
  const std::string file = "submit.k8s.yaml";
  return {file, text, {}, "kubectl apply -f " + shell_word(r.directory + '/' + file)};
}

[[maybe_unused]] const bool registered = SubmitTargets::add("k8s", k8s);

}  // namespace

}  // namespace v4cap
