// v4exec dump: a small model's weights, inputs and outputs as .npy files with an index, so that an
// implementation that shares nothing with this one can check them (scripts/check_dump.py does).
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "exec/layer/device_executor.h"
#include "exec/layer/small_model.h"
#include "exec/npy.h"
#include "kernels/cuda/check.h"
#include "sim/app/command.h"
#include "sim/core/write_error.h"
#include "sim/output/json_writer.h"

namespace v4cap::exec {
namespace {

using Shape = std::vector<std::int64_t>;

template <class T>
struct NumpyType;
template <>
struct NumpyType<float> {
  static constexpr const char* kName = "<f4";
};
template <>
struct NumpyType<std::int32_t> {
  static constexpr const char* kName = "<i4";
};
template <>
struct NumpyType<std::uint8_t> {
  static constexpr const char* kName = "|u1";
};
template <>
struct NumpyType<kernels::Bf16> {
  static constexpr const char* kName = "<u2";  // the bits; NumPy knows no bf16
};

// Files go into a folder, their names, shapes and formats into the index.
class Dump {
 public:
  explicit Dump(std::filesystem::path folder) : folder_(std::move(folder)) {
    index_.begin_object().member("format", "v4exec dump 1").key("arrays").begin_object();
  }

  template <class T>
  void add(const std::string& name, const std::vector<T>& values, const Shape& shape,
           const std::string& format) {
    std::int64_t count = 1;
    for (const std::int64_t n : shape) count *= n;
    V4CAP_CHECK(count == static_cast<std::int64_t>(values.size()), name);
    write_npy((folder_ / (name + ".npy")).string(), NumpyType<T>::kName, shape, values.data(),
              values.size() * sizeof(T));
    index_.key(name).begin_object().member("file", name + ".npy").member("format", format);
    index_.key("shape").begin_array();
    for (const std::int64_t n : shape) index_.value(n);
    index_.end_array().end_object();
  }
  template <class T>
  void add(const std::string& name, Buffer<T>& buffer, const Shape& shape,
           const std::string& format) {
    if (buffer.size() > 0) add(name, buffer.host(), shape, format);
  }
  void add(const std::string& name, Fp8Matrix& m) {
    if (m.codes.size() == 0) return;
    add(name + ".codes", m.codes, {m.groups, m.out, m.in}, "e4m3");
    add(name + ".scales", m.scales, {m.groups, m.out / 128, m.in / 128}, "float");
  }
  void add(const std::string& name, Fp4Matrix& m) {
    add(name + ".codes", m.codes, {m.experts, m.out, m.in / 2}, "e2m1 pairs, low half first");
    add(name + ".scales", m.scales, {m.experts, m.out, m.in / 32}, "ue8m0");
  }
  void add(const std::string& name, MhcWeights& m) {
    const std::int64_t mixes = m.base.size();
    add(name + ".fn", m.fn, {mixes, m.fn.size() / mixes}, "float");
    add(name + ".scale", m.scale, {m.scale.size()}, "float");
    add(name + ".base", m.base, {mixes}, "float");
  }

  JsonWriter& index() { return index_; }
  void finish() {
    std::ofstream file(folder_ / "index.json");
    file << index_.text() << "\n";
    file.close();
    if (!file) throw write_failed((folder_ / "index.json").string(), errno);
  }

 private:
  std::filesystem::path folder_;
  JsonWriter index_{1};
};

void add_layer(Dump& dump, const std::string& name, const LayerShape& s, LayerWeights& w) {
  dump.add(name + ".attention_mhc", w.attention_mhc);
  dump.add(name + ".ffn_mhc", w.ffn_mhc);
  dump.add(name + ".attention_norm", w.attention_norm, {s.hidden}, "float");
  dump.add(name + ".ffn_norm", w.ffn_norm, {s.hidden}, "float");
  dump.add(name + ".q_norm", w.q_norm, {s.q_lora}, "float");
  dump.add(name + ".kv_norm", w.kv_norm, {512}, "float");
  dump.add(name + ".wqa_wkv", w.wqa_wkv);
  dump.add(name + ".wqb", w.wqb);
  dump.add(name + ".woa", w.woa);
  dump.add(name + ".wob", w.wob);
  dump.add(name + ".sink", w.sink, {s.heads}, "float");
  if (w.compress.size() > 0) {
    dump.add(name + ".compress", w.compress, {w.compress.size() / s.hidden, s.hidden}, "bf16");
    const std::int64_t rows = w.kind == LayerKind::csa ? 4 : 128;
    dump.add(name + ".ape", w.ape, {rows, w.ape.size() / rows}, "float");
    dump.add(name + ".compressor_norm", w.compressor_norm, {512}, "float");
  }
  dump.add(name + ".key_ape", w.key_ape, {4, 256}, "float");
  dump.add(name + ".key_compressor_norm", w.key_compressor_norm, {128}, "float");
  dump.add(name + ".indexer_wqb", w.indexer_wqb);
  dump.add(name + ".gate", w.gate, {s.experts, s.hidden}, "bf16");
  dump.add(name + ".gate_bias", w.gate_bias, {s.experts}, "float");
  dump.add(name + ".expert_table", w.expert_table, {s.vocab, s.active}, "int");
  dump.add(name + ".w13", w.w13);
  dump.add(name + ".w2", w.w2);
  dump.add(name + ".shared_w13", w.shared_w13);
  dump.add(name + ".shared_w2", w.shared_w2);
}

void add_ends(Dump& dump, const LayerShape& s, ModelEnds& e) {
  dump.add("embedding", e.embedding, {s.vocab, s.hidden}, "bf16");
  dump.add("head", e.head, {s.vocab, s.hidden}, "bf16");
  dump.add("head_mhc", e.head_mhc);
  dump.add("final_norm", e.final_norm, {s.hidden}, "float");
  dump.add("mtp_head_mhc", e.mtp_head_mhc);
  dump.add("mtp_final_norm", e.mtp_final_norm, {s.hidden}, "float");
  dump.add("mtp_embed_norm", e.mtp_embed_norm, {s.hidden}, "float");
  dump.add("mtp_hidden_norm", e.mtp_hidden_norm, {s.hidden}, "float");
  dump.add("mtp_embed", e.mtp_embed);
  dump.add("mtp_hidden", e.mtp_hidden);
}

void add_step(Dump& dump, const std::string& name, const LayerShape& s, const StepTrace& t) {
  const auto tokens = static_cast<std::int64_t>(t.token_ids.size());
  dump.add(name + ".starts", std::vector<std::int32_t>(t.starts.begin(), t.starts.end()),
           {static_cast<std::int64_t>(t.starts.size())}, "int");
  dump.add(name + ".counts", std::vector<std::int32_t>(t.counts.begin(), t.counts.end()),
           {static_cast<std::int64_t>(t.counts.size())}, "int");
  dump.add(name + ".token_ids", t.token_ids, {tokens}, "int");
  dump.add(name + ".next_ids", t.next_ids, {tokens}, "int");
  dump.add(name + ".embedded", t.embedded, {tokens, 4, s.hidden}, "bf16");
  for (std::size_t l = 0; l < t.layers.size(); ++l) {
    const std::string layer = fmt::format("{}.layer{}", name, l);
    dump.add(layer + ".attention", t.layers[l].attention, {tokens, s.hidden}, "bf16");
    dump.add(layer + ".ffn", t.layers[l].ffn, {tokens, s.hidden}, "bf16");
    dump.add(layer + ".streams", t.layers[l].streams, {tokens, 4, s.hidden}, "bf16");
  }
  dump.add(name + ".logits", t.logits, {tokens, s.vocab}, "float");
  dump.add(name + ".chosen", t.chosen, {tokens}, "int");
  dump.add(name + ".mtp_input", t.mtp_input, {tokens, 4, s.hidden}, "bf16");
  dump.add(name + ".mtp_logits", t.mtp_logits, {tokens, s.vocab}, "float");
}

const char* name_of(LayerKind kind) {
  return kind == LayerKind::csa ? "csa" : kind == LayerKind::hca ? "hca" : "window";
}

class DumpCommand final : public Command {
 public:
  std::string summary() const override {
    return "a small model's weights, inputs and outputs as .npy, for others to check";
  }
  bool reads_scenario() const override { return false; }

  void add_options(CLI::App& app) override {
    app.add_option("--device", device_, "GPU, from 0");
    app.add_flag("--portable", portable_, "only portable versions");
    app.add_option("--out", folder_, "folder, new or empty")->required();
  }

  ExitCode run(CommandContext& context) override {
    const std::filesystem::path folder(folder_);
    std::error_code error;
    if (std::filesystem::exists(folder, error)) {
      if (!std::filesystem::is_directory(folder, error)) {
        throw InputError({folder_}, "expected a folder, found a file");
      }
      if (!std::filesystem::is_empty(folder, error)) {
        throw InputError({folder_}, "expected an empty folder or none, found files in it");
      }
    }
    const Device device = open_device(device_);
    if (context.options.dry_run) return ExitCode::done;
    const std::uint64_t seed = context.options.seed.value_or(1);
    if (!std::filesystem::create_directories(folder, error) && error) {
      throw write_failed(folder_, error.value(), "the folder cannot be made");
    }
    SmallModel model(seed);
    ChoiceLog choices;
    DeviceExecutor executor(device, portable_, &choices);
    V4CAP_CUDA(cudaDeviceSynchronize());
    const std::vector<StepTrace> traces = model.run(executor, Side::device);

    Dump dump(folder);
    const LayerShape& s = model.shape;
    add_ends(dump, s, model.ends);
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      add_layer(dump, fmt::format("layer{}", l), s, model.layers[l]);
    }
    for (std::size_t i = 0; i < traces.size(); ++i) {
      add_step(dump, fmt::format("step{}", i), s, traces[i]);
    }
    // Chosen experts and selected entries, in the order in which the layers made them.
    for (std::size_t i = 0; i < choices.choices.size(); ++i) {
      const auto& values = choices.choices[i].values;
      dump.add(fmt::format("choice{}", i), values, {static_cast<std::int64_t>(values.size())},
               "int");
    }
    JsonWriter& index = dump.index();
    index.end_object().key("model").begin_object();
    index.member("hidden", s.hidden).member("heads", s.heads).member("q_lora", s.q_lora);
    index.member("output_groups", s.output_groups).member("output_lora", s.output_lora);
    index.member("experts", s.experts).member("active", s.active);
    index.member("intermediate", s.intermediate).member("top_k", s.top_k).member("vocab", s.vocab);
    index.member("route_scale", static_cast<double>(s.route_scale));
    index.key("layers").begin_array();
    for (const LayerWeights& w : model.layers) {
      index.begin_object().member("kind", name_of(w.kind));
      index.member("hash_routed", w.hash_routed).end_object();
    }
    index.end_array().end_object();
    index.member("steps", static_cast<std::int64_t>(traces.size()));
    index.member("device", device.name).member("seed", std::to_string(seed)).end_object();
    dump.finish();
    if (!context.options.quiet) context.err << "dump written to " << folder_ << '\n';
    if (context.options.json) {
      JsonWriter answer;
      answer.begin_object().member("folder", folder_).end_object();
      context.out << answer.text() << '\n';
    } else {
      context.out << folder_ << '\n';
    }
    return ExitCode::done;
  }

 private:
  int device_ = 0;
  bool portable_ = false;  // only portable versions
  std::string folder_;     // must be empty or new
};

const bool registered = CommandRegistry::add(
    "dump", []() -> std::unique_ptr<Command> { return std::make_unique<DumpCommand>(); });

}  // namespace
}  // namespace v4cap::exec
