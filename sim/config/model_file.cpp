#include "sim/config/model_file.h"

#include <algorithm>

#include "sim/config/data_files.h"

namespace v4cap {

namespace {

using Kind = YamlNode::Kind;

constexpr std::int64_t kLayersMax = 10'000;

const std::vector<std::pair<std::string, LayerKind>>& layer_names() {
  static const std::vector<std::pair<std::string, LayerKind>> names = {
      {"csa", LayerKind::csa}, {"hca", LayerKind::hca}, {"window", LayerKind::window},
      {"dsa", LayerKind::dsa}, {"mla", LayerKind::mla}, {"gqa", LayerKind::gqa}};
  return names;
}

// The order of layers: names and repetitions, [hca, hca, {repeat: 29, of: [csa, hca]}, csa].
// Repetitions do not nest. Every function returns the canonical text of what it read, or throws
// InputError at the place.
struct LayerList {
  std::string path;  // of the key, for messages
  std::vector<LayerKind> layers;

  std::string read_name(const YamlNode& node) {
    std::vector<std::string> names;
    for (const auto& [name, kind] : layer_names()) {
      names.push_back(name);
      if (node.kind == Kind::scalar && node.text == name) {
        layers.push_back(kind);
        return name;
      }
    }
    throw InputError(node.place, path + ": expected a layer kind, got " + shown(node) +
                                     suggestion(node.text, names));
  }

  std::string read_repeat(const YamlNode& node) {
    const YamlNode* repeat = node.find("repeat");
    const YamlNode* of = node.find("of");
    std::string hint;
    std::int64_t times = 0;  // what is no number is no repetition either
    if (repeat != nullptr && repeat->kind == Kind::scalar) {
      times = parse_value<std::int64_t>(repeat->text, hint).value_or(0);
    }
    if (node.children.size() != 2 || of == nullptr || of->kind != Kind::list || times < 1 ||
        times > kLayersMax) {
      throw InputError(
          node.place, path + ": expected a repetition such as {repeat: 29, of: [csa, hca]}" + hint);
    }
    const std::size_t begin = layers.size();
    std::string text;
    for (const YamlNode& item : of->children) text += (text.empty() ? "" : ", ") + read_name(item);
    const std::vector<LayerKind> once(layers.begin() + static_cast<std::ptrdiff_t>(begin),
                                      layers.end());
    for (std::int64_t i = 1; i < times; ++i) {
      check_length(node, once.size());
      layers.insert(layers.end(), once.begin(), once.end());
    }
    return "{repeat: " + std::to_string(times) + ", of: [" + text + "]}";
  }

  std::string read(const YamlNode& node) {
    if (node.kind != Kind::list || node.children.empty()) {
      throw InputError(node.place,
                       path + ": expected a list such as [hca, {repeat: 2, of: [csa, hca]}], got " +
                           shown(node));
    }
    std::string text;
    for (const YamlNode& item : node.children) {
      check_length(item, 1);
      text += text.empty() ? "[" : ", ";
      text += item.kind == Kind::map ? read_repeat(item) : read_name(item);
    }
    return text + ']';
  }

  void check_length(const YamlNode& node, std::size_t more) const {
    if (layers.size() + more > static_cast<std::size_t>(kLayersMax)) {
      throw InputError(node.place,
                       path + ": expected at most " + std::to_string(kLayersMax) + " layers");
    }
  }
};

std::vector<LayerKind> read_layers(Section& section) {
  LayerList list{section.path_of("layers"), {}};
  const YamlNode* node = section.node("layers");
  if (node == nullptr) {
    section.error("layers", "expected a value, the key is missing");
    return {};
  }
  if (node->kind == Kind::invalid) return {};
  try {
    section.record("layers", list.read(*node));
  } catch (const InputError& e) {
    section.add_errors(e);
  }
  return list.layers;
}

// Sizes have upper bounds far above any model, so that no product of them overflows 64 bits.
constexpr std::int64_t kWidthMax = 1 << 20;
constexpr std::int64_t kExpertsMax = 1 << 16;
constexpr Tokens kContextMax{1'000'000'000};
constexpr Bytes kEntryMax{kKiB * kKiB};

std::int64_t width(Section& section, std::string_view key) {
  return section.required<std::int64_t>(key, between<std::int64_t>(1, kWidthMax));
}

std::int64_t width_or_zero(Section& section, std::string_view key) {
  return section.optional<std::int64_t>(key, 0, between<std::int64_t>(0, kWidthMax));
}

bool has_compressors(const ModelSpec& m) {
  return m.count(LayerKind::csa) + m.count(LayerKind::hca) > 0;
}
bool has_windows(const ModelSpec& m) {
  return has_compressors(m) || m.count(LayerKind::window) > 0;
}
bool has_latents(const ModelSpec& m) {
  return m.count(LayerKind::mla) + m.count(LayerKind::dsa) > 0;
}
bool has_indexer(const ModelSpec& m) {
  return m.count(LayerKind::csa) + m.count(LayerKind::dsa) > 0;
}

void read_attention(Section section, ModelSpec& m) {
  m.heads = width(section, "heads");
  m.head_dim = width_or_zero(section, "head_dim");
  m.rope_dim = width_or_zero(section, "rope_dim");
  m.kv_heads = width_or_zero(section, "kv_heads");
  m.q_lora = width_or_zero(section, "q_lora");
  m.kv_lora = width_or_zero(section, "kv_lora");
  m.qk_nope = width_or_zero(section, "qk_nope");
  m.v_head_dim = width_or_zero(section, "v_head_dim");
  m.output_groups = width_or_zero(section, "output_groups");
  m.output_lora = width_or_zero(section, "output_lora");
  section.reject_unknown();

  // What the layers present need.
  struct Need {
    bool needed;
    std::string_view key;
    std::int64_t value;
    const char* kinds;
  };
  const bool v4 = has_windows(m), latent = has_latents(m), gqa = m.count(LayerKind::gqa) > 0;
  const Need needs[] = {{v4 || gqa, "head_dim", m.head_dim, "csa, hca, window and gqa"},
                        {v4 || latent, "rope_dim", m.rope_dim, "csa, hca, window, dsa and mla"},
                        {v4 || latent, "q_lora", m.q_lora, "csa, hca, window, dsa and mla"},
                        {v4, "output_groups", m.output_groups, "csa, hca and window"},
                        {v4, "output_lora", m.output_lora, "csa, hca and window"},
                        {latent, "kv_lora", m.kv_lora, "dsa and mla"},
                        {latent, "qk_nope", m.qk_nope, "dsa and mla"},
                        {latent, "v_head_dim", m.v_head_dim, "dsa and mla"},
                        {gqa, "kv_heads", m.kv_heads, "gqa"}};
  for (const Need& need : needs) {
    if (need.needed && need.value == 0) {
      section.error(need.key, std::string("expected a width above 0, layers of kind ") +
                                  need.kinds + " need it");
    }
  }
  if (gqa && m.kv_heads > 0 && m.heads % m.kv_heads != 0) {
    section.error("kv_heads", "expected a divisor of heads (" + std::to_string(m.heads) + ")");
  }
}

void read_indexer(Section& parent, ModelSpec& m) {
  if (!has_indexer(m) && !parent.has("indexer")) return;
  Section section = parent.child("indexer", true);
  m.indexer.heads = width(section, "heads");
  m.indexer.head_dim = width(section, "head_dim");
  m.indexer.top_k = width(section, "top_k");
  section.reject_unknown();
  if (!has_indexer(m)) parent.error("indexer", "only csa and dsa layers have an indexer");
}

void read_mlp(Section section, ModelSpec& m) {
  const auto count = between<std::int64_t>(0, kExpertsMax);
  MoeSpec& moe = m.moe;
  moe.routed_experts = section.optional<std::int64_t>("routed_experts", 0, count);
  moe.active_experts = section.optional<std::int64_t>("active_experts", 0, count);
  moe.shared_experts = section.optional<std::int64_t>("shared_experts", 0, count);
  moe.expert_intermediate = width_or_zero(section, "expert_intermediate");
  const std::int64_t dense = moe.routed_experts == 0 ? m.layer_count() : 0;
  moe.dense_layers = section.optional<std::int64_t>("dense_layers", dense,
                                                    between<std::int64_t>(0, m.layer_count()));
  moe.dense_intermediate = width_or_zero(section, "dense_intermediate");
  moe.hash_layers =
      section.optional<std::int64_t>("hash_layers", 0, between<std::int64_t>(0, m.layer_count()));
  section.reject_unknown();
  if (moe.active_experts > moe.routed_experts) {
    section.error("active_experts",
                  "expected at most routed_experts (" + std::to_string(moe.routed_experts) + ")");
  }
  if (moe.routed_experts > 0 && (moe.active_experts == 0 || moe.expert_intermediate == 0)) {
    section.error("routed_experts", "routed experts need active_experts and expert_intermediate");
  }
  if (moe.dense_layers > 0 && moe.dense_intermediate == 0) {
    section.error("dense_intermediate", "expected a width above 0, dense layers need it");
  }
  if (moe.routed_experts == 0 && moe.dense_layers != m.layer_count()) {
    section.error("dense_layers", "expected all layers, there are no routed experts");
  }
}

void read_weights(Section section, ModelSpec& m) {
  const auto per_parameter = above_up_to(0.0, 8.0);
  m.weights.linear_bytes = section.required<double>("linear_bytes", per_parameter);
  m.weights.other_bytes = section.required<double>("other_bytes", per_parameter);
  m.weights.expert_bytes =
      section.optional<double>("expert_bytes", m.weights.linear_bytes, per_parameter);
  section.reject_unknown();
}

void read_published(Section section, ModelSpec& m) {
  m.published.parameters = section.optional<double>("parameters", 0);
  m.published.active_parameters = section.optional<double>("active_parameters", 0);
  const Bytes checkpoint = section.optional<Bytes>("checkpoint", Bytes{0});
  m.published.checkpoint_bytes = static_cast<double>(checkpoint.value);
  section.reject_unknown();
}

void read_cache(Section section, ModelData& data) {
  const auto size = between(Bytes{1}, kEntryMax);
  EntryFormat format;
  format.entry_bytes = section.required<Bytes>("entry", size).value;
  if (has_compressors(data.spec)) {
    format.csa_tail_bytes = section.required<Bytes>("csa_tail", size).value;
    format.hca_tail_row_bytes = section.required<Bytes>("hca_tail_row", size).value;
  }
  data.entry_fp8 = format;
  if (has_indexer(data.spec)) {
    data.entry_fp8.indexer_bytes = section.required<Bytes>("indexer_fp8", size).value;
    if (const auto fp4 = section.optional_or<Bytes>("indexer_fp4", "none", size)) {
      data.entry_fp4 = format;
      data.entry_fp4->indexer_bytes = fp4->value;
    }
  }
  section.reject_unknown();
}

const std::vector<KeySpec>& attention_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out = {
        key<std::int64_t>("heads", "query heads").within(1, kWidthMax).must()};
    for (const auto& [name, meaning] :
         {std::pair{"head_dim", "width of one head; csa, hca, window and gqa layers need it"},
          {"rope_dim", "of these, with rotary position"},
          {"kv_heads", "heads of keys and values; gqa layers need it"},
          {"q_lora", "rank of the query's projection"},
          {"kv_lora", "rank of the latent; dsa and mla layers need it"},
          {"qk_nope", "width of a key without rotary position; dsa and mla layers need it"},
          {"v_head_dim", "width of a value; dsa and mla layers need it"},
          {"output_groups", "groups of heads with an output projection of their own"},
          {"output_lora", "rank of the output projection of a group"}}) {
      out.push_back(key<std::int64_t>(name, meaning).within(0, kWidthMax));
    }
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& indexer_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("heads", "heads of the indexer").within(1, kWidthMax).must(),
      key<std::int64_t>("head_dim", "width of one of its heads").within(1, kWidthMax).must(),
      key<std::int64_t>("top_k", "entries that it selects for each query")
          .within(1, kWidthMax)
          .must()};
  return keys;
}

const std::vector<KeySpec>& mlp_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("routed_experts", "experts of a layer; 0: a dense model")
          .within(0, kExpertsMax),
      key<std::int64_t>("active_experts", "of these, chosen for a token").within(0, kExpertsMax),
      key<std::int64_t>("shared_experts", "experts that every token takes").within(0, kExpertsMax),
      key<std::int64_t>("expert_intermediate", "width inside an expert").within(0, kWidthMax),
      key<std::int64_t>("dense_layers", "leading layers without experts").within(0, kLayersMax),
      key<std::int64_t>("dense_intermediate", "width inside them").within(0, kWidthMax),
      key<std::int64_t>("hash_layers", "leading layers whose experts a table chooses by token")
          .within(0, kLayersMax)};
  return keys;
}

const std::vector<KeySpec>& weights_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("linear_bytes", "bytes of a parameter of the projections").within(0, 8).must(),
      key<double>("other_bytes", "the same of all that is not quantised").within(0, 8).must(),
      key<double>("expert_bytes", "the same of routed experts").within(0, 8)};
  return keys;
}

const std::vector<KeySpec>& cache_keys() {
  static const std::vector<KeySpec> keys = {
      key<Bytes>("entry", "one entry in one layer").must(),
      key<Bytes>("csa_tail", "compressor rows of a CSA layer; models with compressors need it"),
      key<Bytes>("hca_tail_row", "one compressor row of an HCA layer; the same"),
      key<Bytes>("indexer_fp8", "one indexer key in FP8; models with an indexer need it"),
      key_or<Bytes>("indexer_fp4", "none", "one indexer key in FP4; none: it has no such format")};
  return keys;
}

const std::vector<KeySpec>& published_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("parameters", "as published; checked against those that are counted"),
      key<double>("active_parameters", "the same of one token"),
      key<Bytes>("checkpoint", "size of the published checkpoint")};
  return keys;
}

Names layer_kind_names() {
  Names names;
  for (const auto& [name, kind] : layer_names()) names.push_back(name);
  return names;
}

const std::vector<KeySpec>& repeat_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("repeat", "how often").within(1, kLayersMax).must(),
      choice_key("of", layer_kind_names, "layer kinds in order").listed().must()};
  return keys;
}

}  // namespace

const std::vector<KeySpec>& model_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the model").must(),
      key<std::string>("measured_as", "model whose measured times are its own; default: its name"),
      key<std::int64_t>("hidden", "width of the residual stream").within(1, kWidthMax).must(),
      key<std::int64_t>("vocab", "entries of the vocabulary").within(1, 100 * kWidthMax).must(),
      key<Tokens>("max_context_tokens", "longest sequence").within(1, {}).must(),
      choice_key("layers", layer_kind_names,
                 "layer kinds in order: [hca, {repeat: 29, of: [csa, hca]}]")
          .listed()
          .or_else(items_key("", repeat_keys, "layers that repeat"))
          .must(),
      key<Tokens>("window_tokens", "last tokens that csa, hca and window layers also attend")
          .within(0, kWidthMax),
      key<std::int64_t>("mtp_layers", "draft layers").within(0, 64),
      list_key<double>("acceptance_lengths",
                       "mean tokens of a decode step with 1, 2, ... draft tokens")
          .within(1, 65),
      key<std::int64_t>("residual_streams", "streams of mHC; 1: a plain residual").within(1, 64),
      section_key("attention", attention_keys, "widths of attention").must(),
      section_key("indexer", indexer_keys, "only with csa or dsa layers, which need it"),
      section_key("mlp", mlp_keys, "experts and dense layers").must(),
      section_key("weights", weights_keys, "bytes of a parameter").must(),
      section_key("cache", cache_keys, "bytes of cached state; an engine's layout may pad them")
          .must(),
      section_key("published", published_keys, "figures to check the rest against")};
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("model", {"a model: layers, widths, bytes of cached state", model_keys});

ModelData read_model(Section section) {
  ModelData data;
  ModelSpec& m = data.spec;
  m.name = section.required<std::string>("name");
  m.measured_as = section.optional<std::string>("measured_as", m.name);
  m.hidden = width(section, "hidden");
  m.vocab = section.required<std::int64_t>("vocab", between<std::int64_t>(1, 100 * kWidthMax));
  m.max_context = section.required<Tokens>("max_context_tokens", between(Tokens{1}, kContextMax));
  m.layers = read_layers(section);
  m.window =
      section.optional<Tokens>("window_tokens", Tokens{0}, between(Tokens{0}, Tokens{kWidthMax}));
  m.mtp_layers = section.optional<std::int64_t>("mtp_layers", 0, between<std::int64_t>(0, 64));
  if (section.has("acceptance_lengths")) {
    m.acceptance_lengths = section.required_list<double>("acceptance_lengths", between(1.0, 65.0));
  }
  m.residual_streams =
      section.optional<std::int64_t>("residual_streams", 1, between<std::int64_t>(1, 64));
  read_attention(section.child("attention", true), m);
  read_indexer(section, m);
  read_mlp(section.child("mlp", true), m);
  read_weights(section.child("weights", true), m);
  read_cache(section.child("cache", true), data);
  read_published(section.child("published"), m);
  section.reject_unknown();
  if (has_windows(m) != (m.window > Tokens{0})) {
    section.error("window_tokens",
                  has_windows(m) ? "expected a window above 0, csa, hca and window layers keep one"
                                 : "expected 0, no layer of this model keeps a window");
  }
  return data;
}

ModelData load_model(const std::string& name_or_path) {
  const std::string path = find_data_file(DataKind::model, name_or_path, "", Place{});
  Document document(parse_yaml(read_text_file(path), path), path);
  ModelData data = read_model(document.root(model_keys));
  document.checkpoint();
  return data;
}

}  // namespace v4cap
