// TensorRT-LLM: `trtllm-serve MODEL` or `trtllm-serve serve MODEL`, with the YAML file that most of
// its settings stand in (--config, --extra_llm_api_options).
//
// Sources
//   [args] NVIDIA/TensorRT-LLM: tensorrt_llm/commands/serve.py, names of all flags and defaults
//   [api]  same repository: tensorrt_llm/llmapi/llm_args.py, keys of the file
#include <filesystem>

#include "sim/config/engine_file.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"
#include "sim/import/engine_dialect.h"

namespace v4cap {

namespace {

FlagTable flag_table() {
  FlagTable t({.underscores_are_hyphens = true, .no_prefix = false, .prefixes = false});
  t.sets("--model")
      .sets("--tp_size --tensor_parallel_size")
      .sets("--ep_size --moe_expert_parallel_size")
      .sets("--max_batch_size")
      .sets("--max_num_tokens")
      .sets("--max_seq_len")
      .sets("--kv_cache_free_gpu_memory_fraction --free_gpu_memory_fraction")
      .sets("--config --extra_llm_api_options")
      .sets("--served_model_name");
  t.not_modelled(FlagKind::value, "pipeline parallelism: layers are not cut into stages",
                 "pp_size|--pipeline_parallel_size")
      .not_modelled(FlagKind::value, "context parallelism", "cp_size|--context_parallel_size")
      .not_modelled(FlagKind::value, "how experts are dispatched",
                    "cluster_size|--moe_cluster_parallel_size")
      .not_modelled(FlagKind::value, "prefill and decode on different GPUs",
                    "server_role metadata_server_config_file disagg_cluster_uri")
      .not_modelled(FlagKind::value, "beam search", "max_beam_width")
      .not_modelled(FlagKind::boolean, "how the scheduler orders and delays requests",
                    "enable_chunked_prefill")
      .not_modelled(FlagKind::value, "which kernels run", "backend kv_cache_dtype");
  t.no_effect(FlagKind::value,
              "tokenizer custom_tokenizer host port log_level gpus_per_node "
              "num_postprocess_workers revision reasoning_parser tool_parser "
              "otlp_traces_endpoint media_io_kwargs chat_template custom_module_dirs "
              "video_pruning_rate telemetry_endpoint")
      .no_effect(FlagKind::boolean,
                 "trust_remote_code fail_fast_on_attention_window_too_large grpc "
                 "enable_energy_metrics");
  return t;
}

// The file that the command names, with the place to blame. Missing files are no error: the command
// may have been written for another machine.
class OptionsFile {
 public:
  OptionsFile(const LaunchContext& context, FlagReader& read, ScenarioDraft& draft) {
    const std::optional<std::string> name = read.text("--config");
    if (!name) return;
    std::filesystem::path path(*name);
    if (path.is_relative()) path = std::filesystem::path(context.command_dir) / path;
    std::error_code ignored;
    if (!std::filesystem::is_regular_file(path, ignored)) {
      draft.leave_out(*read.find("--config"),
                      "the file is not here: put it beside the command, or its settings are "
                      "missing from the scenario");
      return;
    }
    file_ = path.string();
    root_ = parse_yaml(read_text_file(file_), file_);
  }

  // Scalar at a dotted path; nullptr when absent.
  const YamlNode* find(const std::string& path) const {
    const YamlNode* node = &root_;
    std::size_t begin = 0;
    while (node != nullptr && begin <= path.size()) {
      const std::size_t end = std::min(path.find('.', begin), path.size());
      node = node->find(path.substr(begin, end - begin));
      begin = end + 1;
    }
    return node != nullptr && node->kind == YamlNode::Kind::scalar ? node : nullptr;
  }

  template <class T>
  std::optional<T> value(const std::string& path, const Limits<T>& limits) const {
    const YamlNode* node = find(path);
    if (node == nullptr) return std::nullopt;
    std::string hint;
    const std::optional<T> value = parse_value<T>(node->text, hint);
    if (!value || !limits.admit(*value)) {
      throw InputError(node->place, path + ": expected " + expected_text(limits) + ", got " +
                                        shown(*node) + hint);
    }
    return value;
  }

  bool on(const std::string& path) const {
    const YamlNode* node = find(path);
    return node != nullptr && (node->text == "true" || node->text == "True");
  }

  DraftLine line(const std::string& path, const std::string& value, const std::string& key) const {
    const Place place = find(key)->place;
    return {path, value,
            key + " in " + std::filesystem::path(file_).filename().string() + ":" +
                std::to_string(place.line),
            Origin::command, place};
  }

 private:
  std::string file_;
  YamlNode root_ = YamlNode::made(YamlNode::Kind::map, {});
};

class TrtllmDialect final : public EngineDialect {
 public:
  const FlagTable& flags() const override {
    static const FlagTable table = flag_table();
    return table;
  }

  const std::vector<EngineVariable>& variables() const override {
    static const std::vector<EngineVariable> known = {
        {"TRTLLM_ENABLE_PDL", FlagEffect::not_modelled, "which kernels run"},
        {"TRTLLM_SERVER_DISABLE_GC", FlagEffect::none, ""},
        {"TRTLLM_WORKER_DISABLE_GC", FlagEffect::none, ""},
    };
    return known;
  }

  const std::vector<LogLine>& log_lines() const override {
    static const std::vector<LogLine> lines = {
        {"for max tokens in paged KV cache",
         {{"Allocated ", LogQuantity::kv_memory_gib},
          {"for max tokens in paged KV cache (", LogQuantity::kv_cache_tokens}}},
        {"Memory usage when loading weights",
         {{"Memory usage when loading weights: ", LogQuantity::weights_gib}}},
        {"max_num_requests=",
         {{"max_num_requests=", LogQuantity::max_running},
          {"max_num_tokens=", LogQuantity::step_tokens, false},
          {"max_seq_len=", LogQuantity::max_context_tokens, false}}},
        {"TensorRT-LLM version: ", {{"TensorRT-LLM version: ", LogQuantity::version}}},
    };
    return lines;
  }

  std::optional<std::size_t> arguments_begin(const std::vector<ShellWord>& words) const override {
    if (const auto at = after_words(words, "trtllm-serve", "serve")) return at;
    return after_word(words, "trtllm-serve");
  }
  const ShellWord* positional_model(const FlagUses& flags) const override {
    return flags.positional.empty() ? nullptr : &flags.positional.front();
  }
  std::string_view model_flag() const override { return "--model"; }

  void translate(const LaunchContext& context, ScenarioDraft& draft) const override {
    FlagReader read(context, draft);
    const OptionsFile file(context, read, draft);
    parallelism(read, file, draft);
    draft.assume("kv_cache.layout", "trtllm", "told from the command", Origin::command);
    const EngineData engine = known_engine("trtllm");
    scheduling(context, engine, read, file, draft);
    cache(engine, read, file, draft);
  }

 private:
  // The file wins over the flags.
  static std::int64_t count(FlagReader& read, const OptionsFile& file, ScenarioDraft& draft,
                            const std::string& path, const std::string& key, std::string_view flag,
                            std::int64_t fallback) {
    const auto limits = between<std::int64_t>(1, 1'000'000'000);
    if (const auto value = file.value<std::int64_t>(key, limits)) {
      draft.set(file.line(path, std::to_string(*value), key));
      return *value;
    }
    return read.count_into(path, flag, 1, fallback, "TensorRT-LLM's default");
  }

  // With attention DP every GPU of tensor parallelism is an attention rank of its own.
  static void parallelism(FlagReader& read, const OptionsFile& file, ScenarioDraft& draft) {
    const std::int64_t tp = count(read, file, draft, "deployment.tensor_parallel",
                                  "tensor_parallel_size", "--tp_size", 1);
    if (file.on("enable_attention_dp")) {
      draft.set(file.line("deployment.tensor_parallel", "1", "enable_attention_dp"));
      draft.set(file.line("deployment.data_parallel", std::to_string(tp), "enable_attention_dp"));
    }
    count(read, file, draft, "deployment.expert_parallel", "moe_expert_parallel_size", "--ep_size",
          1);
  }

  static void scheduling(const LaunchContext& context, const EngineData& engine, FlagReader& read,
                         const OptionsFile& file, ScenarioDraft& draft) {
    // Ranks each have these for themselves, so widths do not matter.
    const EngineSettings defaults =
        settle_engine(engine, context.hardware.gpu.memory, {}, context.model.max_context);
    count(read, file, draft, "engine.max_running", "max_batch_size", "--max_batch_size",
          defaults.max_running);
    count(read, file, draft, "engine.step_tokens", "max_num_tokens", "--max_num_tokens",
          defaults.step_tokens.value);
    const auto limits = between<std::int64_t>(1, 1'000'000'000);
    if (const auto length = file.value<std::int64_t>("max_seq_len", limits)) {
      draft.set(file.line("engine.max_context_tokens", std::to_string(*length), "max_seq_len"));
    } else if (const auto flag = read.count("--max_seq_len", 1)) {
      draft.set("engine.max_context_tokens", std::to_string(*flag), *read.find("--max_seq_len"));
    }
    for (const char* key :
         {"speculative_config.num_nextn_predict_layers", "speculative_config.max_draft_len"}) {
      const auto tokens = file.value<std::int64_t>(key, between<std::int64_t>(0, 64));
      if (tokens) draft.set(file.line("engine.draft_tokens", std::to_string(*tokens), key));
    }
  }

  static void cache(const EngineData& engine, FlagReader& read, const OptionsFile& file,
                    ScenarioDraft& draft) {
    const std::string block = "kv_cache_config.tokens_per_block";
    if (const auto tokens = file.value<std::int64_t>(block, between<std::int64_t>(1, 65536))) {
      draft.set(file.line("kv_cache.block_tokens", std::to_string(*tokens), block));
    } else {
      draft.assume("kv_cache.block_tokens", std::to_string(engine.block.value),
                   "tokens_per_block of V4");
    }
    const std::string key = "kv_cache_config.free_gpu_memory_fraction";
    const std::string flag = "--kv_cache_free_gpu_memory_fraction";
    if (const auto fraction = file.value<double>(key, above_up_to(0.0, 1.0))) {
      draft.take_free_memory(*fraction, file.line("", "", key).reason);
    } else if (const auto given = read.fraction(flag)) {
      draft.take_free_memory(*given, read.find(flag)->quoted());
    } else {
      draft.take_free_memory(*engine.memory_fraction, "TensorRT-LLM's default");
    }
  }
};

[[maybe_unused]] const bool registered = DialectRegistry::add(
    "trtllm", []() -> std::unique_ptr<EngineDialect> { return std::make_unique<TrtllmDialect>(); });

}  // namespace

}  // namespace v4cap
