// v4cap init: a scenario to start from, with every section and what its keys mean.
#include <CLI/CLI.hpp>

#include "sim/app/command.h"
#include "sim/output/json_writer.h"

namespace v4cap {

namespace {

constexpr const char* kStarter =
    R"yaml(# A scenario for v4cap. Everything but model, hardware and workload has a default.
#   v4cap check FILE      validates it and prints every default
#   v4cap simulate FILE   runs it
#   v4cap schema > scenario.schema.json makes an editor with a YAML language server complete and check keys, with
#   the line '# yaml-language-server: $schema=scenario.schema.json' at the top of this file
# Amounts carry their unit (46 GiB, 50 us; KB = 1000 B, KiB = 1024 B). Keys that end in _tokens count tokens.

# A name from scenarios/models, or the path of a file like those. To change single figures write a map:
#   model: {base: deepseek-v4-pro, cache: {entry: 640 B}}
model: deepseek-v4-pro       # deepseek-v4-flash, deepseek-v3.2, deepseek-v3, gqa-70b
hardware: hgx-b200           # hgx-h200, hgx-h100
# Times of measured modules of that GPU (scenarios/profiles); left out: measured ones if the layout's engine has
# them, else a roofline of datasheet peaks, which no engine reaches.
profile: b200-sglang-0.5.14  # h200-sglang-0.5.14, h100-sglang-0.5.14

deployment:
  tensor_parallel: 8         # GPUs that one attention rank is spread over
  data_parallel: 1           # attention ranks, each with a KV cache of its own

engine:
  scheduler: fcfs            # first come, first served
  max_running: 256           # requests at a time
  step_tokens: 8192          # token budget of a step
  # max_context_tokens: 131072   # longer requests are refused; default: what the model can

kv_cache:
  layout: ideal              # bytes as the formats define them; vllm, sglang, trtllm: as that engine pages
  # layout_version: "0.26"   # release or date of the engine; default: the newest known
  # layout_options: {}       # single values of that version, see scenarios/engines
  swa_policy: full           # full, checkpoint=2048, recompute
  block_tokens: 256
  tails: none                # stored: hits may end at every block; none: at multiples of 128
  indexer: fp8               # fp4 where the model has it
  memory: auto               # of one GPU, such as 46 GiB; auto: what weights and reserve leave
  memory_fraction: 0.9       # of the GPU's memory that the engine may use
  # reserve: 12 GiB          # activations, graphs, buffers; default: the hardware's
  reuse_generated: true      # generated tokens stay cached for the session's next turn

workload:
  trace: agents_small.jsonl.gz   # beside this file, in --traces DIR or V4CAP_TRACES, or a bundled sample
  # In place of a trace, requests can be drawn:
  # synthetic:
  #   sessions: 200
  #   turns_min: 1
  #   turns_max: 8
  #   shared_prefix_tokens: 2000
  #   first_prompt: {kind: lognormal, mean: 6000, sigma: 1.0}
  #   next_prompt: {kind: exponential, mean: 800}
  #   output: {kind: uniform, min: 50, max: 600}
  #   think_time_mean: 10 s
  #   arrivals: poisson
  #   rate_per_s: 0.5
  arrivals:
    mode: closed_loop        # trace: at its own times; poisson: with rate_per_s; burst: all at once
    sessions_at_a_time: 8
  max_requests: all

slo:
  ttft_p99: 5 s              # time to first token; none: not asked for
  tpot_p99: 50 ms            # time per output token

seed: 1
)yaml";

class InitCommand final : public Command {
 public:
  std::string summary() const override { return "print a commented scenario to start from"; }

  void add_options(CLI::App& app) override { app.footer("Example: v4cap init > my.yaml"); }

  ExitCode run(CommandContext& context) override {
    if (context.options.json) {
      JsonWriter json;
      json.begin_object().member("scenario", kStarter).end_object();
      context.out << json.text() << '\n';
    } else {
      context.out << kStarter;
    }
    return ExitCode::done;
  }
};

[[maybe_unused]] const bool registered = CommandRegistry::add(
    "init", []() -> std::unique_ptr<Command> { return std::make_unique<InitCommand>(); });

}  // namespace

}  // namespace v4cap
