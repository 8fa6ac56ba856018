// What is handed to Slurm, Kubernetes and GNU parallel.
#include "sim/sweep/submit.h"

#include <doctest/doctest.h>

#include "sim/config/yaml_tree.h"

namespace v4cap {
namespace {

SubmitRequest request() {
  SubmitRequest r;
  r.name = "SWA policies";
  r.plan = "0123";
  r.program = "/opt/v4cap/bin/v4cap";
  r.directory = "/data/sweep";
  r.trace_dir = "/data/tra'ces";
  r.shards = 12;
  r.jobs = 4;
  r.shard_s = 600;
  r.memory_mib = 300;
  r.option = {"--partition=cpu"};
  r.image = "registry/v4cap:1";
  r.claim = "data";
  return r;
}

Submission made(const std::string& target, const SubmitRequest& r) {
  REQUIRE(SubmitTargets::find(target) != nullptr);
  return (*SubmitTargets::find(target))(r);
}

TEST_CASE("submit: words for a shell") {
  CHECK(shell_word("/a/b-c_d.e") == "/a/b-c_d.e");
  CHECK(shell_word("a b") == "'a b'");
  CHECK(shell_word("it's; rm") == "'it'\\''s; rm'");
  CHECK(shell_word("") == "''");
}

TEST_CASE("submit: a job array for Slurm") {
  const Submission s = made("slurm", request());
  CHECK(
      s.text ==
      "#!/bin/bash\n#SBATCH --job-name=v4cap-swa-policies\n#SBATCH --array=1-12\n"
      "#SBATCH --nodes=1\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=4\n#SBATCH --mem=300M\n"
      "#SBATCH --time=100\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
      "#SBATCH --output=/data/sweep/slurm-%A_%a.log\n#SBATCH --partition=cpu\n"
      "exec /opt/v4cap/bin/v4cap sweep /data/sweep/plan.json --shard \"${SLURM_ARRAY_TASK_ID}\"/12 "
      "--jobs 4 --quiet --traces '/data/tra'\\''ces'\n");
  CHECK(s.command == std::vector<std::string>{"sbatch", "--parsable", "/data/sweep/submit.slurm"});
  SubmitRequest spaced = request();
  spaced.directory = "/data/my sweep";
  CHECK_THROWS_AS(made("slurm", spaced), InputError);
}

TEST_CASE("submit: a line for GNU parallel") {
  const Submission s = made("parallel", request());
  CHECK(s.by_hand.starts_with("seq 1 12 | parallel --joblog /data/sweep/submit-0123-12.joblog "));
  CHECK(s.by_hand.find("--shard {}/12") != std::string::npos);
  CHECK(s.text == "#!/bin/sh\n" + s.by_hand + '\n');
}

TEST_CASE("submit: an Indexed Job for Kubernetes is YAML that says what it should") {
  SubmitRequest r = request();
  r.option = {"suspend: true"};
  const YamlNode job = parse_yaml(made("k8s", r).text, "job.yaml");
  const auto at = [&](const std::string& path) {
    const YamlNode* node = find_path(job, path);
    REQUIRE(node != nullptr);
    return node->text;
  };
  CHECK(at("kind") == "Job");
  CHECK(at("spec.suspend") == "true");
  CHECK(at("metadata.name") == "v4cap-swa-policies");
  CHECK(at("spec.completionMode") == "Indexed");
  CHECK(at("spec.completions") == "12");
  CHECK(at("spec.backoffLimitPerIndex") == "3");
  CHECK(at("spec.template.spec.restartPolicy") == "Never");
  const YamlNode* containers = find_path(job, "spec.template.spec.containers");
  REQUIRE(containers != nullptr);
  REQUIRE(containers->children.size() == 1);
  const YamlNode* command = containers->children.front().find("command");
  REQUIRE(command != nullptr);
  CHECK(
      command->children.back().text ==
      "exec v4cap sweep /data/sweep/plan.json --shard \"$((JOB_COMPLETION_INDEX + 1))\"/12 --jobs "
      "4 --quiet --traces '/data/tra'\\''ces'");
  r.image.clear();
  CHECK_THROWS_WITH_AS(made("k8s", r), doctest::Contains("--image: expected"), InputError);
  r = request();
  r.claim.clear();
  CHECK_THROWS_WITH_AS(made("k8s", r), doctest::Contains("--claim: expected"), InputError);
}

}  // namespace
}  // namespace v4cap
