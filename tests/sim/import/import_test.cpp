// Published launch commands, each in a file of its own that names its source: the scenario must be
// whole and say what the command says, and no flag may be unknown.
#include "sim/import/import.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "sim/config/data_files.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/checkpoints.h"
#include "sim/import/launch_report.h"
#include "tests/sim/import/import_helpers.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

struct Published {
  const char* file;
  const char* hardware;
  const char* engine;
  const char* model;
  std::int64_t tensor_parallel, data_parallel, expert_parallel;
  std::int64_t draft_tokens, max_running, step_tokens, max_context;
  double memory_fraction;  // as given; 0 = not given
  IndexerFormat indexer;
  const char* swa_policy;
};

constexpr auto kFp8 = IndexerFormat::fp8, kFp4 = IndexerFormat::fp4;
constexpr std::int64_t kMillion = 1'000'000, kFull = 1 << 20;

// SGLang divides running requests and the chunk by its attention ranks; its default is 256.
const Published kPublished[] = {
    {"sglang_b200_pro_low_latency.sh", "hgx-b200", "sglang", "deepseek-v4-pro", 8, 1, 1, 3, 256,
     8192, kFull, 0.90, kFp8, ""},
    {"sglang_b200_pro_balanced.sh", "hgx-b200", "sglang", "deepseek-v4-pro", 1, 8, 1, 1, 32, 4096,
     kFull, 0.92, kFp8, ""},
    {"sglang_b200_pro_high_throughput.sh", "hgx-b200", "sglang", "deepseek-v4-pro", 1, 8, 8, 0, 32,
     8192, kFull, 0.835, kFp8, ""},
    {"sglang_b200_pro_nvfp4.sh", "hgx-b200", "sglang", "deepseek-v4-pro", 8, 1, 1, 3, 256, 8192,
     kFull, 0, kFp8, ""},
    {"sglang_b200_flash_balanced.sh", "hgx-b200", "sglang", "deepseek-v4-flash", 1, 4, 4, 1, 64,
     4096, kFull, 0, kFp8, ""},
    {"sglang_h200_flash_fp8_high_throughput.sh", "hgx-h200", "sglang", "deepseek-v4-flash", 1, 4, 4,
     0, 64, 2048, kFull, 0, kFp8, ""},
    {"sglang_h200_pro_fp8_two_nodes.sh", "hgx-h200", "sglang", "deepseek-v4-pro", 1, 16, 16, 1, 2,
     512, kFull, 0.88, kFp8, ""},
    {"sglang_h100_flash_low_latency.sh", "hgx-h100", "sglang", "deepseek-v4-flash", 8, 1, 1, 3, 256,
     8192, kFull, 0, kFp8, ""},
    {"sglang_b200_pro_agents.sh", "hgx-b200", "sglang", "deepseek-v4-pro", 8, 1, 1, 0, 48, 8192,
     kMillion, 0.88, kFp8, ""},
    {"vllm_b200_pro_tep.sh", "hgx-b200", "vllm", "deepseek-v4-pro", 8, 1, 8, 7, 1024, 8192, kFull,
     0, kFp4, "tail"},
    {"vllm_h200_pro_tep.sh", "hgx-h200", "vllm", "deepseek-v4-pro", 8, 1, 8, 2, 16, 8192, 200000,
     0.95, kFp8, "tail"},
    {"vllm_b200_pro_dep_agents.sh", "hgx-b200", "vllm", "deepseek-v4-pro", 1, 8, 8, 0, 16, 8192,
     kMillion, 0, kFp4, "checkpoint=32768+ends"},
    {"vllm_b200_flash_dep.sh", "hgx-b200", "vllm", "deepseek-v4-flash-0731", 1, 8, 8, 0, 256, 8192,
     kFull, 0.95, kFp8, "tail"},
    {"vllm_h20_flash_container.sh", "hgx-h20-96gb", "vllm", "deepseek-v4-flash-0731", 2, 1, 1, 1,
     1024, 8192, 121344, 0.95, kFp8, "tail"},
    {"trtllm_b200_flash.sh", "hgx-b200", "trtllm", "deepseek-v4-flash", 1, 8, 8, 1, 512, 16384,
     kFull, 0, kFp8, ""},
};

TEST_CASE("published commands become whole scenarios that say what the commands say") {
  for (const Published& p : kPublished) {
    const std::string file = p.file;
    CAPTURE(file);
    ImportRequest request;
    request.command = command_file(p.file);
    request.hardware = p.hardware;
    const ImportedLaunch launch = import_launch(request);
    CHECK(launch.engine == p.engine);
    for (const UnknownFlag& f : launch.flags.unknown) FAIL_CHECK("unknown flag ", f.written);
    const Scenario& s = launch.scenario;
    CHECK(s.model.name == p.model);
    CHECK(s.deployment.tensor_parallel == p.tensor_parallel);
    CHECK(s.deployment.data_parallel == p.data_parallel);
    CHECK(s.deployment.expert_parallel == p.expert_parallel);
    CHECK(s.engine.draft_tokens == p.draft_tokens);
    CHECK(s.engine.max_running == p.max_running);
    CHECK(s.engine.step_tokens.value == p.step_tokens);
    CHECK(s.engine.max_context.value == p.max_context);
    if (p.memory_fraction > 0) CHECK(s.kv_cache.memory_fraction == p.memory_fraction);
    CHECK(s.kv_cache.indexer == p.indexer);
    CHECK(s.kv_cache.layout == p.engine);
    if (*p.swa_policy != '\0') CHECK(s.kv_cache.swa_policy == std::string(p.swa_policy));
    CHECK(report_launch(launch).misfit == "");
    // The text alone gives the same scenario again.
    CHECK(parse_scenario(launch.yaml, "again").resolved_yaml == s.resolved_yaml);
  }
}

TEST_CASE("every file with a command is in the table") {
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kCommands)) {
    if (entry.path().extension() == ".sh") files.insert(entry.path().filename().string());
  }
  for (const Published& p : kPublished) files.erase(p.file);
  CHECK(files.empty());
}

// A typing slip anywhere is refused or read, and never ends the program.
TEST_CASE("damaged commands are refused or read") {
  const std::string bytes = "-=' \"\\$(){}[]#\n;|&<>0.9azM,:\x01\xff";
  std::uint64_t state = 7;
  const auto random = [&](std::size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % below;
  };
  int refused = 0, imported = 0;
  for (const Published& p : kPublished) {
    const SourceText whole = command_file(p.file);
    for (int i = 0; i < 25; ++i) {
      ImportRequest request;
      request.command = whole;
      request.hardware = p.hardware;
      std::string& damaged = request.command.text;
      for (int slips = 0; slips < 3; ++slips) {
        const std::size_t at = random(damaged.size());
        switch (random(3)) {
          case 0:
            damaged[at] = bytes[random(bytes.size())];
            break;
          case 1:
            damaged.erase(at, 1 + random(12));
            break;
          default:
            damaged.insert(at, 1, bytes[random(bytes.size())]);
        }
      }
      try {
        report_launch(import_launch(request));
        ++imported;
      } catch (const InputError&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 20);
  CHECK(imported > 20);
}

TEST_CASE("each line says what it comes from") {
  const ImportedLaunch launch =
      import_text("vllm serve deepseek-ai/DeepSeek-V4-Flash -tp 4 --max-num-seqs 64", "hgx-h200");
  CHECK(launch.yaml.find("tensor_parallel: 4") != std::string::npos);
  CHECK(launch.yaml.find("# -tp 4\n") != std::string::npos);
  CHECK(launch.draft.find("engine.max_running")->origin == Origin::command);
  CHECK(launch.draft.find("engine.step_tokens")->origin == Origin::engine);
  CHECK(launch.draft.find("hardware")->origin == Origin::user);
  CHECK(launch.draft.find("workload.trace")->origin == Origin::import);
}

TEST_CASE("converted checkpoints have their own bytes per expert parameter") {
  const auto bytes = [](const std::string& name) {
    return import_text("sglang serve --model-path " + name + " --tp 8")
        .scenario.model.weights.expert_bytes;
  };
  CHECK(bytes("deepseek-ai/DeepSeek-V4-Pro") == 0.53125);
  CHECK(bytes("nvidia/DeepSeek-V4-Pro-NVFP4") == 0.5625);
  CHECK(bytes("/raid/models/DeepSeek-V4-Pro-FP8/") == doctest::Approx(1.000244140625));
  CHECK(bytes("/hub/models--deepseek-ai--DeepSeek-V4-Pro/snapshots/0a1b") == 0.53125);
}

TEST_CASE("every checkpoint names a model, and its own name finds it") {
  const std::vector<Checkpoint> known = load_checkpoints();
  REQUIRE(known.size() > 10);
  const std::vector<std::string> models = data_names(DataKind::model, "");
  for (const Checkpoint& c : known) {
    CAPTURE(c.name);
    CHECK(std::ranges::find(models, c.model) != models.end());
    for (const std::string& path : {"org/" + c.name, "/raid/" + c.name + "/", c.name}) {
      const Checkpoint* found = find_checkpoint(known, path);
      REQUIRE(found != nullptr);
      CHECK(found->name == c.name);
    }
  }
  CHECK(find_checkpoint(known, "DeepSeek-V4-Pro-w4a8") == nullptr);
  CHECK(find_checkpoint(known, "") == nullptr);
}

TEST_CASE("a value that only the shell knows is said to be open") {
  const ImportedLaunch launch = import_text("vllm serve x/DeepSeek-V4-Flash -tp $TP -dp ${N:-2}");
  CHECK(value(launch, "deployment.tensor_parallel") == "1");
  CHECK(value(launch, "deployment.data_parallel") == "2");
  CHECK(mentions(launch.draft.omissions(), "-tp $TP"));
  CHECK(launch.draft.find("deployment.tensor_parallel")->reason ==
        "-tp $TP is not known: vLLM's default");
  REQUIRE(launch.draft.open_flags().size() == 1);
  CHECK(launch.draft.open_flags()[0].written == "-tp");
  CHECK(launch.draft.open_flags()[0].assumed == "1");
  // Attention ranks are no reason to refuse a width that nobody said.
  const ImportedLaunch ranks = import_text(
      "sglang serve --model-path DeepSeek-V4-Flash --tp $TP --dp 4 --enable-dp-attention $MORE");
  CHECK(ranks.scenario.deployment.data_parallel == 4);
  CHECK(ranks.scenario.deployment.tensor_parallel == 1);
  REQUIRE(ranks.draft.open_flags().size() == 2);
  CHECK(ranks.draft.open_flags()[0].assumed == "4");
  CHECK(ranks.draft.open_flags()[1].written == "$MORE");
  ImportRequest request;
  request.command = text("vllm serve x/DeepSeek-V4-Flash -tp $TP");
  request.options.set = {"deployment.tensor_parallel=4", "model.cache.entry=600 B"};
  const ImportedLaunch overridden = import_launch(request);
  CHECK(overridden.draft.open_flags().empty());
  CHECK(overridden.scenario.deployment.tensor_parallel == 4);
  CHECK(overridden.yaml.find("entry: 600 B") != std::string::npos);
  CHECK(parse_scenario(overridden.yaml, "again").deployment.tensor_parallel == 4);
}

TEST_CASE("variables of the engine are read, reported or named as unknown") {
  const ImportedLaunch launch = import_text(
      "export SGLANG_DSV4_COMPRESS_STATE_DTYPE=bf16\nFOO=1 SGLANG_NEW_THING=2 "
      "SGLANG_OPT_USE_ONLINE_COMPRESS=1 sglang serve --model-path DeepSeek-V4-Pro --tp 8");
  CHECK(launch.scenario.kv_cache.entry.csa_tail_bytes == 40960);
  CHECK(launch.scenario.kv_cache.entry.hca_tail_row_bytes == 2048);
  REQUIRE(launch.variables.size() == 3);
  CHECK(launch.variables[0].effect == FlagEffect::sets);
  CHECK_FALSE(launch.variables[1].known);
  CHECK(launch.variables[2].effect == FlagEffect::not_modelled);
}

TEST_CASE("what a command says of its engine's scheduler is in the scenario") {
  const ImportedLaunch sglang = import_text(
      "sglang serve --model-path DeepSeek-V4-Flash --tp 4 --enable-mixed-chunk "
      "--max-prefill-tokens 32768 --schedule-conservativeness 0.3 --enable-prefill-delayer "
      "--prefill-delayer-max-delay-passes 7 --disable-overlap-schedule "
      "--cuda-graph-max-bs 128 --load-balance-method shortest_queue "
      "--speculative-algorithm EAGLE --speculative-num-steps 2 "
      "--speculative-num-draft-tokens 4",
      "hgx-b200");
  CHECK(sglang.scenario.engine.prefill_delayer);
  CHECK(sglang.scenario.engine.scheduler_options.at("prefill_delay_steps") == 7);
  CHECK_FALSE(sglang.scenario.engine.host.overlapped);
  CHECK(sglang.scenario.engine.host.graph_max_batch == 128);
  CHECK(sglang.scenario.deployment.router == "shortest_queue");
  CHECK(sglang.scenario.engine.draft_tokens == 3);
  CHECK(sglang.scenario.engine.draft_steps == 2);
  CHECK(sglang.scenario.engine.scheduler == "sglang");
  CHECK(sglang.scenario.engine.mixed_chunk);
  CHECK(sglang.scenario.engine.scheduler_options.at("max_prefill_tokens") == 32768);
  CHECK(sglang.scenario.engine.scheduler_options.at("conservativeness") == 0.3);
  CHECK(sglang.scenario.engine.scheduler_options.at("new_token_ratio") == 0.7);
  CHECK(error_of("sglang serve --model-path DeepSeek-V4-Flash --tp 4 "
                 "--schedule-conservativeness 101",
                 "hgx-b200")
            .find("expected a number from 0 to 100, got \"101\"") != std::string::npos);
  const ImportedLaunch vllm = import_text(
      "vllm serve deepseek-ai/DeepSeek-V4-Flash -tp 4 --long-prefill-token-threshold 4096",
      "hgx-b200");
  CHECK(vllm.scenario.engine.scheduler == "vllm");
  CHECK(vllm.scenario.engine.long_prefill_token_threshold == Tokens{4096});
}

TEST_CASE("wrong commands are refused at their place") {
  CHECK(error_of("ls -l").starts_with("run.sh: expected a command that starts vLLM"));
  CHECK(error_of("vllm serve --port 1").starts_with("run.sh:1:1: expected a model"));
  CHECK(error_of("vllm serve deepseek-ai/DeepSeek-V4-Prp")
            .starts_with("run.sh:1:12: unknown model \"deepseek-ai/DeepSeek-V4-Prp\"; did you mean "
                         "'DeepSeek-V4-Pro'?"));
  CHECK(error_of("vllm serve DeepSeek-V4-Pro \\\n -tp eight") ==
        "run.sh:2:6: -tp: expected a whole number from 1 to 1000000000, got \"eight\"");
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --gpu-memory-utilization 92")
            .find("expected a number above 0 up to 1, got \"92\"") != std::string::npos);
  CHECK(error_of("sglang serve --model-path DeepSeek-V4-Pro --tp 8 --dp 3 --enable-dp-attention") ==
        "run.sh:1:55: --dp: expected a divisor of --tp (8), got \"3\"");
  CHECK(error_of("vllm serve deepseek-ai/DeepSeek-V3.2 -tp 8") ==
        "run.sh:1:12: expected a model with compressed layers (deepseek-v4-flash, "
        "deepseek-v4-flash-0731, deepseek-v4-pro), got \"deepseek-ai/DeepSeek-V3.2\", which is "
        "deepseek-v3.2: layout vllm holds V4's caches only; a scenario with layout ideal takes "
        "other models");
  CHECK(error_of("sglang serve --tp 8 --model-path DeepSeek-R1").starts_with("run.sh:1:34: "));
  // What the scenario refuses is refused at the flag it comes from.
  CHECK(error_of("vllm serve DeepSeek-V4-Pro -tp 3")
            .starts_with("run.sh:1:28: -tp 3: deployment.tensor_parallel: expected"));
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --max-model-len 2000000")
            .starts_with("run.sh:1:28: --max-model-len 2000000: engine.max_context_tokens"));
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --speculative-config '{\"method\":\"mtp\"}'")
            .find("num_speculative_tokens: expected a whole number") != std::string::npos);
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --speculative-config "
                 "'{\"num_speculative_tokens\":1e3, \"method\": \"mtp\"}'")
            .ends_with("expected a whole number from 1 to 64, got \"1e3\""));
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --speculative-config "
                 "'{\"num_speculative_tokens\": 2.5}'")
            .ends_with("got \"2.5\""));
  CHECK(error_of("vllm serve DeepSeek-V4-Pro --speculative-config '{\"a\": }'")
            .find("--speculative-config: expected JSON, found") != std::string::npos);
  CHECK(error_of("VLLM_PREFIX_CACHE_RETENTION_INTERVAL=100 vllm serve DeepSeek-V4-Pro")
            .find("expected a multiple of the block") != std::string::npos);
  CHECK(error_of("vllm serve DeepSeek-V4-Pro", "hgx-b2000").find("did you mean 'hgx-b200'?") !=
        std::string::npos);
}

TEST_CASE("a version that is none is refused, whatever stands in it") {
  for (const char* version : {"abc", "0.2\"6", "x: [", "1.2: 3"}) {
    ImportRequest request;
    request.command = text("vllm serve DeepSeek-V4-Flash -tp 4");
    request.version = version;
    try {
      import_launch(request);
      FAIL_CHECK("taken: ", std::string(version));
    } catch (const InputError& e) {
      CHECK(to_string(e.diagnostics().front())
                .starts_with("--engine-version: kv_cache.layout_version: expected a release"));
    }
  }
}

TEST_CASE("a file that TensorRT-LLM's command names is read, or said to be missing") {
  TempDir dir;
  dir.write("options.yaml",
            "enable_attention_dp: true\nmax_batch_size: 64\nkv_cache_config:\n"
            "  free_gpu_memory_fraction: 0.5\n");
  ImportRequest request;
  request.command = {"trtllm-serve DeepSeek-V4-Flash --tp_size 4 --config options.yaml", "run.sh",
                     dir.path()};
  const ImportedLaunch launch = import_launch(request);
  CHECK(launch.scenario.deployment.data_parallel == 4);
  CHECK(launch.scenario.deployment.tensor_parallel == 1);
  CHECK(launch.scenario.engine.max_running == 64);
  const ImportedLaunch half = launch;
  dir.write("options.yaml",
            "enable_attention_dp: true\nkv_cache_config:\n"
            "  free_gpu_memory_fraction: 1.0\n");
  const ImportedLaunch all = import_launch(request);
  REQUIRE(half.scenario.kv_cache.memory);
  CHECK(static_cast<double>(all.scenario.kv_cache.memory->value) ==
        doctest::Approx(2.0 * static_cast<double>(half.scenario.kv_cache.memory->value))
            .epsilon(1e-6));
  request.command.text = "trtllm-serve DeepSeek-V4-Flash --tp_size 4 --config other.yaml";
  CHECK(mentions(import_launch(request).draft.omissions(), "--config other.yaml"));
  dir.write("options.yaml", "max_batch_size: many\n");
  request.command.text = "trtllm-serve DeepSeek-V4-Flash --config options.yaml";
  CHECK_THROWS_AS(import_launch(request), InputError);
}

TEST_CASE("words that are no flag are said to be left out") {
  const ImportedLaunch launch =
      import_text("CMD=(\n  vllm serve DeepSeek-V4-Flash\n  \"${PARALLEL[@]}\" stray\n)\n");
  CHECK(mentions(launch.draft.omissions(), "${PARALLEL[@]}"));
  CHECK(mentions(launch.draft.omissions(), "stray"));
}

// What engines logged beside what we say with the KV memory that they logged.
struct Logged {
  const char* what;
  std::string command;  // or "" with a file
  const char* file;
  const char* hardware;
  const char* version;
  std::string log;
  LogQuantity quantity;
  double stated;
  double error_percent;  // at most
};

TEST_CASE("figures of published logs follow from the command and the KV memory") {
  const std::string sglang = "sglang serve --model-path DeepSeek-V4-Flash-0731 ";
  const Logged logged[] = {
      // Public server log of August 2026 (cases s21): four attention ranks, one request each.
      {"SGLang attention ranks",
       sglang + "--tp 4 --dp 4 --enable-dp-attention --ep-size 4 "
                "--max-running-requests 4",
       "", "hgx-b200", "0.5.15",
       "[DP0 TP0] DSV4 memory calculation: bytes_per_full_token=7705.45, available_bytes=6.16 GB, "
       "c128_state_fixed=0.04 GB\n[DP0 TP0] DSV4 pool sizes: full=852992, swa=85248, c4=213248, "
       "c128=6664, c4_state=5328, c128_state=0\n",
       LogQuantity::kv_cache_tokens, 852992, 0.1},
      // vllm issue 51041, first log: 0.26, no async scheduling.
      {"vLLM, one step in flight",
       "vllm serve DeepSeek-V4-Flash -tp 2 --max-model-len 912128 --max-num-batched-tokens 8192 "
       "--gpu-memory-utilization 0.95 --no-async-scheduling "
       "--speculative-config '{\"method\":\"mtp\",\"num_speculative_tokens\":1}'",
       "", "hgx-h20-96gb", "0.26",
       "Available KV cache memory: 7.01 GiB\nGPU KV cache size: 1,009,661 tokens\n",
       LogQuantity::kv_cache_tokens, 1009661, 2.0},
      // The same issue, second log: async scheduling doubles what a request needs at worst. The
      // layout is known to miss this row by 7 %.
      {"vLLM, two steps in flight", "", "vllm_h20_flash_container.sh", "hgx-h20-96gb", "0.26",
       "Available KV cache memory: 7.71 GiB\nGPU KV cache size: 150,992 tokens\n",
       LogQuantity::kv_cache_tokens, 150992, 8.0},
  };
  for (const Logged& l : logged) {
    const std::string what = l.what;
    CAPTURE(what);
    ImportRequest request;
    request.command = *l.file == '\0' ? text(l.command) : command_file(l.file);
    request.hardware = l.hardware;
    request.version = l.version;
    request.log = SourceText{l.log, "server.log", ""};
    const LaunchReport report = report_launch(import_launch(request));
    bool found = false;
    for (const LogCheck& check : report.log_checks) {
      if (check.stated.quantity != l.quantity) continue;
      found = true;
      CHECK(check.stated.low == l.stated);
      const auto difference = difference_percent(check.stated, check.ours_with_stated_memory);
      REQUIRE(difference);
      CHECK(std::abs(*difference) <= l.error_percent);
    }
    CHECK(found);
  }
}

// From the command alone: memory model and layout together.
TEST_CASE("published capacities are near what the command alone gives") {
  ImportRequest request;
  request.command = command_file("vllm_b200_flash_dep.sh");
  request.hardware = "hgx-b200";
  request.version = "0.25";
  const LaunchReport report = report_launch(import_launch(request));
  const LogFigure* concurrency = find_figure(report.figures, kConcurrencyFigure);
  REQUIRE(concurrency != nullptr);
  CHECK(concurrency->value == doctest::Approx(20.43).epsilon(0.08));  // vllm issue 51454
}

TEST_CASE("the first command that starts a server counts, however it is started") {
  const auto engine = [](const std::string& command) { return import_text(command).engine; };
  CHECK(engine("/usr/bin/python3 -m sglang.launch_server --model DeepSeek-V4-Pro --tp-size 8") ==
        "sglang");
  CHECK(engine("nohup python -m vllm.entrypoints.openai.api_server --model DeepSeek-V4-Flash") ==
        "vllm");
  CHECK(engine("docker pull vllm/vllm-openai:latest && docker run vllm/vllm-openai:latest "
               "--model DeepSeek-V4-Flash -tp 2") == "vllm");
  CHECK(engine("set -e\nmpirun -n 4 trtllm-serve serve DeepSeek-V4-Flash --tp_size 4") == "trtllm");
  const ImportedLaunch two =
      import_text("vllm serve DeepSeek-V4-Flash -tp 4 &\nvllm serve DeepSeek-V4-Pro -tp 8 &\nwait");
  CHECK(two.scenario.deployment.tensor_parallel == 4);
  CHECK(std::ranges::any_of(two.draft.notes(), [](const std::string& note) {
    return note.starts_with("1 further launch command");
  }));
}

TEST_CASE("weights are compared as the engine states them") {
  const auto ours = [](const std::string& command, const std::string& log, LogQuantity quantity) {
    ImportRequest request;
    request.command = text(command);
    request.log = SourceText{log, "server.log", ""};
    const ImportedLaunch launch = import_launch(request);
    CHECK(std::ranges::any_of(launch.draft.notes(), [](const std::string& note) {
      return note.starts_with("--set kv_cache.memory=\"12.5 GiB\"");
    }));
    for (const LogCheck& check : report_launch(launch).log_checks) {
      if (check.stated.quantity == quantity) return check.ours.value_or(-1);
    }
    return -2.0;
  };
  const std::string sglang =
      "sglang serve --model-path DeepSeek-V4-Pro --tp 8 "
      "--speculative-algorithm EAGLE --speculative-num-draft-tokens 2";
  const std::string log =
      "[TP0] Load weight end. type=DeepseekV4ForCausalLM, mem usage=107.19 GB.\n"
      "[TP0] Load weight end. type=DeepseekV4ForCausalLMNextN, mem usage=1.83 GB.\n"
      "[TP0] DSV4 memory calculation: bytes_per_full_token=13125.54, available_bytes=12.5 GB\n";
  const double target = ours(sglang, log, LogQuantity::weights_gib);
  const double draft = ours(sglang, log, LogQuantity::draft_weights_gib);
  CHECK(target == doctest::Approx(107.19).epsilon(0.1));
  CHECK(draft == doctest::Approx(1.83).epsilon(0.3));
  const std::string vllm =
      "vllm serve DeepSeek-V4-Pro -tp 8 --speculative-config "
      "'{\"method\":\"mtp\",\"num_speculative_tokens\":1}'";
  const double both = ours(vllm,
                           "Model loading took 109.02 GiB and 99 seconds\n"
                           "Available KV cache memory: 12.5 GiB\n",
                           LogQuantity::weights_gib);
  CHECK(both == doctest::Approx(109.02).epsilon(0.05));
}

TEST_CASE("a log's version and settings are taken where the command says nothing") {
  ImportRequest request;
  request.command = text("vllm serve DeepSeek-V4-Flash -tp 4");
  request.log = SourceText{"INFO   version 0.23.1rc1\nAsynchronous scheduling is disabled.\n",
                           "server.log", ""};
  const ImportedLaunch launch = import_launch(request);
  CHECK(launch.version == "0.23.1");
  CHECK(launch.scenario.kv_cache.layout_version == "0.23.1");
  CHECK(launch.scenario.engine.steps_in_flight == 1);
  request.log.reset();
  CHECK(import_launch(request).scenario.engine.steps_in_flight == 2);
}

}  // namespace
}  // namespace v4cap
