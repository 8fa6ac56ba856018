// Wrong scenarios, one fault each: every one is refused with its line, its column and what was
// expected, and the program ends with exit code 2.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "sim/app/command.h"
#include "sim/app/v4cap_program.h"
#include "sim/cluster/run_scenario.h"
#include "sim/config/scenario_file.h"
#include "tests/temp_dir.h"

using namespace v4cap;

namespace {

struct Row {
  std::string name;
  std::string text;  // appended to kHead (three lines) unless it is a whole file
  std::int64_t line, column;
  std::string fragment;
  bool whole = false;
};

const std::string kHead =
    "model: deepseek-v4-pro\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n";
const std::string kTop = "model: deepseek-v4-pro\nhardware: hgx-b200\n";

std::string repeated(const std::string& piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

std::vector<Row> value_rows() {
  return {
      {"unknown key", "kv_cache:\n  block_token: 256\n", 5, 3,
       "unknown key 'block_token' in 'kv_cache'; did you mean 'block_tokens'?"},
      {"unknown key at the top", "kv_cahe: {}\n", 4, 1,
       "unknown key 'kv_cahe' at the top level; did you mean 'kv_cache'?"},
      {"unknown key far from any", "engine: {zzzzzzzzz: 1}\n", 4, 10,
       "one of: scheduler, max_running, step_tokens, max_context_tokens"},
      {"missing unit", "kv_cache:\n  memory: 46\n", 5, 11, "got \"46\"; the unit is missing"},
      {"wrong unit", "kv_cache:\n  memory: 46 GB/s\n", 5, 11, "unknown unit 'GB/s'"},
      {"unit in the wrong case", "kv_cache: {memory: 46 gib}\n", 4, 20, "did you mean 'GiB'?"},
      {"time without a unit", "slo: {ttft_p99: 5}\n", 4, 17, "expected a time with its unit"},
      {"bytes where a time belongs", "slo: {ttft_p99: 5 GiB}\n", 4, 17, "unknown unit 'GiB'"},
      {"negative time", "slo: {tpot_p99: -5 ms}\n", 4, 17, "above 0 ns, or 'none', got \"-5 ms\""},
      {"zero time", "slo: {tpot_p99: 0 ms}\n", 4, 17, "above 0 ns"},
      {"too fine a time", "slo: {tpot_p99: 0.5 ns}\n", 4, 17, "finer than the smallest unit"},
      {"negative length", "engine: {max_context_tokens: -1}\n", 4, 30,
       "expected a number of tokens from 1 to 1048576, got \"-1\""},
      {"zero tokens", "engine: {step_tokens: 0}\n", 4, 23, "from 1 to 1000000000, got \"0\""},
      {"unit on tokens", "kv_cache: {block_tokens: 256 B}\n", 4, 26, "expected a number of tokens"},
      {"longer than the model allows", "engine: {max_context_tokens: 2000000}\n", 4, 30,
       "from 1 to 1048576"},
      {"fraction of a request", "engine: {max_running: 1.5}\n", 4, 23,
       "expected a whole number from 1 to 1000000, got \"1.5\""},
      {"octal", "engine: {max_running: 010}\n", 4, 23, "leading zeros are not allowed"},
      {"hexadecimal", "engine: {max_running: 0x1F}\n", 4, 23, "numbers are decimal"},
      {"separators", "engine: {max_running: 1_000}\n", 4, 23, "without separators"},
      {"plus sign", "engine: {max_running: +5}\n", 4, 23, "leave out the plus sign"},
      {"overflow", "engine: {max_running: 99999999999999999999}\n", 4, 23,
       "does not fit into 64 bits"},
      {"overflowing bytes", "kv_cache: {memory: 99999999999 TiB}\n", 4, 20,
       "does not fit into 64 bits"},
      {"word for a number", "engine: {max_running: many}\n", 4, 23, "got \"many\""},
      {"NaN", "kv_cache: {memory_fraction: .nan}\n", 4, 29,
       "expected a number above 0 and up to 1, got \".nan\""},
      {"infinity", "kv_cache: {memory_fraction: .inf}\n", 4, 29, "got \".inf\""},
      {"beyond a double", "kv_cache: {memory_fraction: 1e400}\n", 4, 29,
       "outside the range of a double"},
      {"fraction above 1", "kv_cache: {memory_fraction: 1.01}\n", 4, 29, "above 0 and up to 1"},
      {"fraction 0", "kv_cache: {memory_fraction: 0}\n", 4, 29, "above 0 and up to 1"},
      {"yes for true", "kv_cache: {reuse_generated: yes}\n", 4, 29, "write true or false"},
      {"quoted bool", "kv_cache: {reuse_generated: 'true'}\n", 4, 29, "expected true or false"},
      {"list for a number", "engine:\n  max_running: [1, 2]\n", 5, 16, "got a list"},
      {"map for a number", "engine:\n  max_running: {a: 1}\n", 5, 16, "got a map"},
      {"list for a map", "engine: [a]\n", 4, 9, "engine: expected a map (key: value), got a list"},
      {"scalar for a map", "engine: fcfs\n", 4, 9,
       "engine: expected a map (key: value), got \"fcfs\""},
      {"nothing for a map", "engine:\n", 4, 1, "engine: expected a map (key: value), got nothing"},
      {"nothing for a value", "engine:\n  max_running:\n", 5, 3, "got nothing"},
      {"negative seed", "seed: -1\n", 4, 7,
       "expected a whole number from 0 to 18446744073709551615"},
      {"seed beyond 64 bits", "seed: 18446744073709551616\n", 4, 7, "does not fit into 64 bits"},
  };
}

std::vector<Row> meaning_rows() {
  return {
      {"tensor_parallel 3", "deployment: {tensor_parallel: 3}\n", 4, 31,
       "expected a divisor of the node's GPUs (8) or a multiple of them, got 3"},
      {"tensor_parallel 12", "deployment: {tensor_parallel: 12}\n", 4, 31, "or a multiple of them"},
      {"tensor_parallel 0", "deployment: {tensor_parallel: 0}\n", 4, 31, "from 1 to 1024"},
      {"tensor_parallel off the heads", "deployment: {tensor_parallel: 256}\n", 4, 31,
       "a divisor of the model's heads (128), got 256"},
      {"ranks that leave part of a node", "deployment: {tensor_parallel: 2, data_parallel: 3}\n", 4,
       49, "ranks of 2 GPUs that fill an equal part"},
      {"experts off the GPUs", "deployment: {tensor_parallel: 8, expert_parallel: 3}\n", 4, 51,
       "a divisor of the engine's GPUs (8), got 3"},
      {"router with a space", "deployment: {router: round robin}\n", 4, 22,
       "expected a name or name=argument"},
      {"even experts below the mean",
       "deployment: {data_parallel: 8}\nengine: {expert_imbalance: 0.9}\n", 5, 28, "from 1 to 8"},
      {"a GPU with more than all pairs",
       "deployment: {data_parallel: 8}\nengine: {expert_imbalance: 9}\n", 5, 28, "from 1 to 8"},
      {"imbalance of experts that are cut", "engine: {expert_imbalance: 1.5}\n", 4, 28,
       "from 1 to 1"},
      {"bins that do not sum to 1",
       "deployment: {data_parallel: 8}\nengine: {expert_imbalance: [{factor: 1, share: 0.5}]}\n", 5,
       28, "whose shares sum to 1, got 1 that sum to 0.5"},
      {"bin without a share",
       "deployment: {data_parallel: 8}\nengine: {expert_imbalance: [{factor: 1}]}\n", 5, 29,
       "share: expected a value"},
      {"bin of no kind",
       "deployment: {data_parallel: 8}\nengine: {expert_imbalance: [{factor: 1, share: 1, x: "
       "2}]}\n",
       5, 51, "unknown key 'x'"},
      {"acceptance without drafts", "engine: {acceptance_length: 2}\n", 4, 29,
       "only draft_tokens above 0 use this key"},
      {"draft steps without drafts", "engine: {draft_steps: 2}\n", 4, 23,
       "only draft_tokens above 0 use this key"},
      {"more accepted than drafted", "engine: {draft_tokens: 2, acceptance_length: 3.5}\n", 4, 46,
       "from 1 to 3"},
      {"fewer than the next token", "engine: {draft_tokens: 2, acceptance_length: 0.5}\n", 4, 46,
       "from 1 to 3"},
      {"chances for another number of drafts", "engine: {draft_tokens: 2, acceptance: [1]}\n", 4,
       39, "the chances of 1 to 3 tokens a step"},
      {"chances that do not sum to 1", "engine: {draft_tokens: 1, acceptance: [0.5, 0.4]}\n", 4, 39,
       "got 2 that sum to 0.9"},
      {"both kinds of acceptance",
       "engine: {draft_tokens: 1, acceptance: [0.5, 0.5], acceptance_length: 1.5}\n", 4, 70,
       "expected either this or acceptance"},
      {"negative drafts", "engine: {draft_tokens: -1}\n", 4, 24, "from 0 to 64"},
      {"no steps in flight", "engine: {steps_in_flight: 0}\n", 4, 27, "from 1 to 16"},
      {"mixed chunks of what has none", "engine: {mixed_chunk: true}\n", 4, 23,
       "engine.mixed_chunk: expected false, scheduler fcfs has no such rule"},
      {"a delayer of what has none", "engine: {prefill_delayer: true}\n", 4, 27,
       "expected false, scheduler fcfs has no such rule"},
      {"a threshold of what has none", "engine: {long_prefill_token_threshold: 9}\n", 4, 40,
       "expected 0, scheduler fcfs has no such rule"},
      {"negative threshold", "engine: {long_prefill_token_threshold: -1}\n", 4, 40,
       "from 0 to 1000000000"},
      {"mixed chunks that are no truth", "engine: {scheduler: sglang, mixed_chunk: 1}\n", 4, 42,
       "expected true or false"},
      {"numbers of a scheduler without any", "engine: {scheduler_options: {ratio: 1}}\n", 4, 29,
       "scheduler fcfs has no parameters"},
      {"a scheduler's number out of range",
       "engine: {scheduler: sglang, scheduler_options: {new_token_ratio: 2}}\n", 4, 66,
       "expected a number from 0 to 1, got \"2\""},
      {"a host's time without a unit", "engine: {host: {eager_layer: 5}}\n", 4, 30,
       "engine.host.eager_layer: expected a time with its unit"},
      {"a negative host time", "engine: {host: {graph_step: -1 us}}\n", 4, 29,
       "engine.host.graph_step: expected a time with its unit, such as 2 s or 50 us, from 0 ns "
       "to 1 s, got \"-1 us\""},
      {"a host time without a value", "engine: {host: {prompt_token: }}\n", 4, 17,
       "engine.host.prompt_token: expected a time"},
      {"overlap that is no truth", "engine: {host: {overlapped: 1}}\n", 4, 29,
       "engine.host.overlapped: expected true or false"},
      {"a negative batch of graphs", "engine: {host: {graph_max_batch: -1}}\n", 4, 34,
       "engine.host.graph_max_batch: expected a whole number from 0 to 1000000"},
      {"captured sizes that are no ranges", "engine: {host: {graph_sizes: 8}}\n", 4, 30,
       "engine.host.graph_sizes: expected all, or ascending ranges first-last:step such as 1-8:1 "
       "10-32:2, got \"8\""},
      {"captured sizes that overlap", "engine: {host: {graph_sizes: 1-8:1 8-16:2}}\n", 4, 30,
       "got \"1-8:1 8-16:2\""},
      {"captured sizes off their step", "engine: {host: {graph_sizes: 1-8:2}}\n", 4, 30,
       "got \"1-8:2\""},
      {"captured sizes in a list", "engine: {host: {graph_sizes: [1, 2]}}\n", 4, 30,
       "engine.host.graph_sizes: expected"},
      {"unknown key of a host", "engine: {host: {eager_layers: 1 us}}\n", 4, 17,
       "unknown key 'eager_layers' in 'engine.host'; did you mean 'eager_layer'?"},
      {"host that is no map", "engine: {host: 3 ms}\n", 4, 16, "engine.host: expected a map"},
      {"unknown distribution of experts", "engine: {expert_distribution: power_law}\n", 4, 31,
       "engine.expert_distribution: expected one of its names, got \"power_law\"; one of: "
       "balanced, power_law_1.01, power_law_1.2"},
      {"unknown profile", "profile: b200-sglang-0.5.15\n", 4, 10,
       "unknown profile \"b200-sglang-0.5.15\"; did you mean 'b200-sglang-0.5.14'?"},
      {"profile file that is not there", "profile: ./x.yaml\n", 4, 10, "profile: no file"},
      {"profile in a list", "profile: [a]\n", 4, 10, "profile: expected"},
      {"a version of what has none", "kv_cache: {layout_version: 0.26}\n", 4, 28,
       "layout ideal has no versions"},
      {"options of what has none", "kv_cache: {layout_options: {page: 1}}\n", 4, 28,
       "layout ideal has no parameters"},
      {"block off the HCA entries", "kv_cache: {block_tokens: 64}\n", 4, 26,
       "expected a multiple of 128, as tails are not stored"},
      {"block off trace blocks", "kv_cache: {block_tokens: 100, tails: stored}\n", 4, 26,
       "a multiple or a divisor of 16"},
      {"block inside a CSA entry", "kv_cache: {block_tokens: 2, tails: stored}\n", 4, 26,
       "a multiple of 4"},
      {"more memory than the GPU has", "kv_cache: {memory: 181 GiB}\n", 4, 20,
       "from 1 B to 180 GiB"},
      {"more reserve than the GPU has", "kv_cache: {reserve: 200 GiB}\n", 4, 21,
       "from 0 B to 180 GiB"},
      {"unknown tail storage", "kv_cache: {tails: store}\n", 4, 19, "did you mean 'stored'?"},
      {"unknown indexer format", "kv_cache: {indexer: fp16}\n", 4, 21, "did you mean 'fp"},
      {"policy with a space", "kv_cache: {swa_policy: check point}\n", 4, 24,
       "expected a name or name=argument"},
      {"policy without its argument", "kv_cache: {swa_policy: checkpoint=}\n", 4, 24,
       "expected a name or name=argument"},
      {"policy without a name", "kv_cache: {swa_policy: =2048}\n", 4, 24,
       "expected a name or name=argument"},
      {"a window policy without windows",
       "model: gqa-70b\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\nkv_cache:\n  swa_policy: "
       "recompute\n",
       5, 15, "expected full, no layer of gqa-70b keeps a window", true},
      {"stored tails without compressors",
       "model: gqa-70b\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\nkv_cache:\n  tails: "
       "stored\n",
       5, 10, "no layer of gqa-70b has a compressor", true},
      {"FP4 keys that V3.2 has not",
       "model: deepseek-v3.2\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\nkv_cache:\n  "
       "indexer: fp4\n",
       5, 12, "deepseek-v3.2 has no FP4 indexer keys", true},
      {"unknown model", "model: deepseek-v4\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1,
       8, "unknown model \"deepseek-v4\"; did you mean", true},
      {"model that is no name", "model: [a]\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1,
       8, "expected a name such as 'deepseek-v4-pro', a path or a map, got a list", true},
      {"model file that is not there",
       "model: ./x.yaml\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1, 8, "model: no file",
       true},
      {"model without its figures",
       "model: {name: x}\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1, 8,
       "model.hidden: expected a value, the key is missing", true},
      {"layer of no kind",
       "model: {base: gqa-70b, layers: [gqq]}\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1,
       33, "expected a layer kind, got \"gqq\"; did you mean 'gqa'?", true},
      {"layers repeated without end",
       "model: {base: gqa-70b, layers: [{repeat: 999999999, of: [gqa]}]}\nhardware: "
       "hgx-b200\nworkload: {trace: t.jsonl}\n",
       1, 33, "expected a repetition such as", true},
      {"unknown hardware",
       "model: deepseek-v4-pro\nhardware: hgx-b20\nworkload: {trace: t.jsonl}\n", 2, 11,
       "unknown hardware \"hgx-b20\"; did you mean 'hgx-b200'?", true},
      {"reserve above the GPU's memory",
       "model: deepseek-v4-pro\nhardware: {base: hgx-h100, reserve: 80 GiB}\nworkload: {trace: "
       "t.jsonl}\n",
       2, 37, "less than the GPU's memory (80 GiB)", true},
      {"no model", "hardware: hgx-b200\nworkload: {trace: t.jsonl}\n", 1, 1,
       "model: expected name, path of a file, or {base: name, ...} with changes, the key is "
       "missing",
       true},
      {"no workload", kTop, 1, 1,
       "workload: expected a map such as {trace: ...}, the key is missing", true},
  };
}

std::vector<Row> workload_rows() {
  const std::string synthetic =
      kTop + "workload:\n  synthetic:\n    sessions: 5\n    first_prompt: {mean: 9}\n    output: ";
  return {
      {"trace that is not there", kTop + "workload:\n  trace: weka-x/s.jsonl\n", 4, 10,
       "https://github.com/callanjfox/kv-cache-tester", true},
      {"trace that nobody knows", kTop + "workload:\n  trace: nobody.csv\n", 4, 10,
       "--traces DIR or V4CAP_TRACES", true},
      {"trace without a name", kTop + "workload:\n  trace: ''\n", 4, 10, "expected a file name",
       true},
      {"trace in a list", kTop + "workload:\n  trace: [t.jsonl]\n", 4, 10,
       "expected a file name, got a list", true},
      {"neither trace nor synthetic", kTop + "workload:\n  max_requests: 5\n", 4, 3,
       "workload.trace: expected a value, the key is missing", true},
      {"both trace and synthetic", synthetic + "{mean: 1}\n  trace: t.jsonl\n", 5, 5,
       "expected either trace or synthetic, got both", true},
      {"unknown arrivals", kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: closed}\n", 5,
       20, "one of: trace, closed_loop, poisson, burst, client", true},
      {"closed loop without sessions",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: closed_loop}\n", 5, 13,
       "sessions_at_a_time: expected a value", true},
      {"no session at a time",
       kTop +
           "workload:\n  trace: t.jsonl\n  arrivals: {mode: closed_loop, sessions_at_a_time: 0}\n",
       5, 53, "from 1 to", true},
      {"rate in a closed loop",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: closed_loop, sessions_at_a_time: 1, "
              "rate_per_s: 2}\n",
       5, 68, "only mode poisson uses this key", true},
      {"Poisson without a rate",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: poisson}\n", 5, 13,
       "rate_per_s: expected a value", true},
      {"rate 0", kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: poisson, rate_per_s: 0}\n",
       5, 41, "above 0", true},
      {"client without its concurrency",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: client}\n", 5, 13,
       "concurrency: expected a value", true},
      {"client with nothing in flight",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: client, concurrency: 0}\n", 5, 41,
       "from 1 to", true},
      {"warm-up without a client",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: burst, warmup_requests: 3}\n", 5, 44,
       "only mode client uses this key", true},
      {"time scale in a burst",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: burst}\n  time_scale: 2\n", 6, 15,
       "only arrivals of mode trace use this key", true},
      {"negative time scale", kTop + "workload:\n  trace: t.jsonl\n  time_scale: -1\n", 5, 15,
       "above 0", true},
      {"no requests", kTop + "workload:\n  trace: t.jsonl\n  max_requests: 0\n", 5, 17, "or 'all'",
       true},
      {"no turns", kTop + "workload:\n  trace: t.jsonl\n  max_turns: 0\n", 5, 14, "or 'all'", true},
      {"requests over and over at times of the trace",
       kTop + "workload:\n  trace: t.jsonl\n  cycle_to_requests: 9\n", 5, 22,
       "times of a trace do not go on behind its end", true},
      {"requests of a client over and over",
       kTop + "workload:\n  trace: t.jsonl\n  arrivals: {mode: client, concurrency: 2}\n  "
              "cycle_to_requests: 9\n",
       6, 22, "got client", true},
      {"no token for a prompt", kTop + "workload:\n  trace: t.jsonl\n  clip_to_tokens: 1\n", 5, 19,
       "or 'none'", true},
      {"cut prompts of what is generated",
       synthetic + "{kind: exponential, mean: 3}\n  clip_to_tokens: 20\n", 8, 19,
       "only a trace has recorded lengths", true},
      {"turns of what is generated", synthetic + "{kind: exponential, mean: 3}\n  max_turns: 2\n",
       8, 14, "only a trace has recorded turns", true},
      {"length without a mean", synthetic + "{kind: exponential}\n", 7, 13,
       "workload.synthetic.output.mean: expected a value", true},
      {"length of no kind", synthetic + "{kind: normal, mean: 3}\n", 7, 20,
       "one of: constant, uniform, lognormal, exponential, table", true},
      {"length that its kind does not use", synthetic + "{mean: 3, sigma: 1}\n", 7, 23,
       "unknown key 'sigma'", true},
      {"least above most", synthetic + "{kind: uniform, min: 9, max: 3}\n", 7, 34,
       "workload.synthetic.output.min: expected at most max", true},
      {"most turns below least",
       synthetic + "{mean: 3}\n    turns_min: 3\n    turns_max: 2\n    next_prompt: {mean: 1}\n", 9,
       16, "expected at least turns_min", true},
  };
}

std::vector<Row> file_rows() {
  return {
      {"empty file", "", 1, 1,
       "expected a scenario (keys such as model: deepseek-v4-pro), got nothing", true},
      {"only a comment", "# nothing\n", 1, 1, "got nothing", true},
      {"one comma", ",", 1, 1, "expected the end of the file", true},
      {"a list", "- a\n- b\n", 1, 1, "got a list", true},
      {"a word", "hello\n", 1, 1, "got \"hello\"", true},
      {"duplicate section", "engine: {}\nengine: {}\n", 5, 1,
       "duplicate key \"engine\", first given in line 4"},
      {"duplicate key", "engine:\n  max_running: 1\n  max_running: 2\n", 6, 3,
       "duplicate key \"max_running\", first given in line 5"},
      {"merge key", "engine:\n  <<: {max_running: 1}\n", 5, 3, "merge keys (<<) are not allowed"},
      {"alias bomb", "a: &a [1, 1]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", 4, 4,
       "anchors (&name) are not allowed"},
      {"cyclic alias", "engine: &x [*x]\n", 4, 9, "anchors (&name) are not allowed"},
      {"tag", "engine: !!map {}\n", 4, 9, "tags are not allowed"},
      {"deep nesting", "a: " + repeated("[", 200) + repeated("]", 200) + "\n", 4, 67,
       "at most 64 levels"},
      {"binary junk", std::string("\x7f\x45\x4c\x46\x02\x01\x01\x00", 8), 1, 1,
       "expected UTF-8 text, got the byte 0x7f", true},
      {"a gzip file", "\x1f\x8b\x08", 1, 1, "expected UTF-8 text, got the byte 0x1f", true},
      {"an open quote", "seed: \"1\n", 4, 7, "the quote is never closed"},
      {"an open bracket", "engine: {max_running: 1\n", 5, 1, "not well-formed YAML"},
      {"wrong indentation", "engine:\n  max_running: 1\n step_tokens: 2\n", 6, 2,
       "not well-formed YAML"},
      {"two documents", "---\nseed: 1\n", 4, 1,
       "expected the end of the file, found another YAML document"},
      {"larger than 1 MiB", "# " + repeated("x", 1 << 20), 0, 0, "at most 1 MiB", true},
  };
}

bool is_named(const std::vector<Diagnostic>& diagnostics, const Row& row, const std::string& file) {
  for (const Diagnostic& d : diagnostics) {
    if (d.place.file == file && d.place.line == row.line && d.place.column == row.column &&
        d.message.find(row.fragment) != std::string::npos) {
      return true;
    }
  }
  return false;
}

void check_rows(const std::vector<Row>& rows) {
  const TempDir dir;
  dir.write("t.jsonl", "");
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string file = dir.write("s.yaml", row.whole ? row.text : kHead + row.text);
    std::vector<Diagnostic> diagnostics;
    std::string all;
    try {
      load_scenario(file, {{}, std::nullopt, dir.path()});
    } catch (const InputError& e) {
      diagnostics = e.diagnostics();
      all = e.what();
    }
    CAPTURE(all);
    CHECK(is_named(diagnostics, row, file));
    CHECK(diagnostics.size() <= 12);

    std::ostringstream out, err;
    CHECK(run_program(kV4cap, {"check", file, "--traces", dir.path()}, out, err, false, false) ==
          ExitCode::bad_input);
    CHECK(out.str().empty());
    CHECK(err.str() == all + '\n');
  }
}

}  // namespace

TEST_CASE("wrong values in a scenario are refused with their place") {
  check_rows(value_rows());
}
TEST_CASE("contradictions in a scenario are refused with their place") {
  check_rows(meaning_rows());
}
TEST_CASE("wrong workloads are refused with their place") {
  check_rows(workload_rows());
}
TEST_CASE("files that are no scenario are refused with their place") {
  check_rows(file_rows());
}

TEST_CASE("a folder and a missing file are no scenarios") {
  const TempDir dir;
  for (const std::string& path : {dir.path(), dir.path() + "/none.yaml"}) {
    std::ostringstream out, err;
    CHECK(run_program(kV4cap, {"check", path}, out, err, false, false) == ExitCode::bad_input);
    CHECK(err.str().starts_with(path + ": expected a file, "));
  }
}

TEST_CASE("one fault is reported once") {
  const TempDir dir;
  dir.write("t.jsonl", "");
  for (const std::string text :
       {"model: nonesuch\nhardware: hgx-b200\nworkload: {trace: t.jsonl}\n"
        "engine: {max_context_tokens: 9000}\nkv_cache: {swa_policy: recompute, indexer: fp4}\n",
        "model: deepseek-v4-pro\nhardware: nonesuch\nworkload: {trace: t.jsonl}\n"
        "deployment: {tensor_parallel: 8}\nkv_cache: {memory: 46 GiB}\n"}) {
    try {
      load_scenario(dir.write("s.yaml", text));
      FAIL("accepted");
    } catch (const InputError& e) {
      CAPTURE(e.what());
      CHECK(e.diagnostics().size() == 1);
    }
  }
}

TEST_CASE("several faults are reported at once and in order") {
  const TempDir dir;
  dir.write("t.jsonl", "");
  const std::string file =
      dir.write("s.yaml", kHead + "engine: {max_running: 0, step_token: 1}\nseed: x\nslo: 3\n");
  try {
    load_scenario(file);
    FAIL("accepted");
  } catch (const InputError& e) {
    REQUIRE(e.diagnostics().size() == 4);
    CHECK(e.diagnostics()[0].place.column == 23);
    CHECK(e.diagnostics()[1].place.column == 26);
    CHECK(e.diagnostics()[2].place.line == 5);
    CHECK(e.diagnostics()[3].place.line == 6);
  }
}

TEST_CASE("a broken profile is refused with the place in its table") {
  const TempDir dir;
  dir.write("t.jsonl", "0 0\n");
  const std::string shipped =
      std::string(V4CAP_SOURCE_DIR) + "/scenarios/profiles/h100-vllm-0.24.0";
  std::filesystem::create_directories(dir / "profiles");
  for (const std::string ending : {".yaml", ".csv"}) {
    std::filesystem::copy_file(shipped + ending, dir / ("profiles/h100-vllm-0.24.0" + ending));
  }
  const std::string csv = dir / "profiles/h100-vllm-0.24.0.csv";
  std::ofstream(csv, std::ios::app) << "broken\n";
  const Scenario s =
      load_scenario(dir.write("s.yaml",
                              "model: deepseek-v4-pro\nhardware: hgx-h100\n"
                              "workload: {trace: t.jsonl}\nprofile: h100-vllm-0.24.0\n"),
                    {{}, std::nullopt, dir.path()});
  const std::int64_t lines = 17348;  // of the table, the broken one last
  CHECK_THROWS_WITH_AS(make_cost(s), doctest::Contains((csv + ':' + std::to_string(lines)).c_str()),
                       InputError);
}
