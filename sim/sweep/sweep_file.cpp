#include "sim/sweep/sweep_file.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "sim/config/scenario_file.h"
#include "sim/config/section.h"
#include "sim/config/tiers_section.h"
#include "sim/sweep/figures.h"

namespace v4cap {

namespace {

namespace fs = std::filesystem;
using Kind = YamlNode::Kind;

const std::vector<KeySpec>& axis_keys() {
  static const std::vector<KeySpec> keys = {
      any_key("from", "first value of a grid"),
      any_key("to", "last value of a grid"),
      any_key("step", "between values of a grid"),
      any_key("log", "first and last of values in equal ratios").listed(),
      key<std::int64_t>("points", "how many values in equal ratios"),
      key<std::string>("keys", "key paths that move together").listed(),
      any_key("rows", "values of those keys, a list for each row").listed()};
  return keys;
}

const std::vector<KeySpec>& axes_keys() {
  static const std::vector<KeySpec> keys = {
      any_key("*", "values that the key of this path takes")
          .listed()
          .or_else(section_key("", axis_keys, "a grid, equal ratios, or keys that move together"))};
  return keys;
}

const std::vector<KeySpec>& sweep_keys() {
  static const std::vector<KeySpec> keys = sweep_key_list();
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("sweep", {"many runs: a scenario, axes, thresholds", sweep_keys});

std::vector<std::string> paths_of(const std::vector<Axis>& axes) {
  std::vector<std::string> paths;
  for (const Axis& axis : axes) paths.insert(paths.end(), axis.paths.begin(), axis.paths.end());
  return paths;
}

void add_leaves(const YamlNode& node, const std::string& path, std::vector<std::string>& out) {
  for (const YamlNode& entry : node.children) {
    const std::string below = path.empty() ? entry.key : path + '.' + entry.key;
    if (entry.kind == Kind::map) {
      add_leaves(entry, below, out);
    } else if (entry.kind == Kind::scalar) {
      out.push_back(below);
    }
  }
}

// Runs `read` and keeps what it throws for the document's checkpoint.
template <class Read>
void collecting(Document& document, Read read) {
  try {
    read();
  } catch (const InputError& error) {
    document.add_errors(error);
  }
}

void read_axes(Section& top, Document& document, SweepFile& sweep) {
  const YamlNode* node = top.node("axes");
  if (node == nullptr) return;
  if (node->kind != Kind::map) {
    document.add_error(node->place, "axes: expected a map (key.path: values), got " + shown(*node));
    return;
  }
  for (const YamlNode& entry : node->children) {
    collecting(document, [&] {
      Axis axis = read_axis(entry);
      if (std::ranges::find(axis.paths, kSeedPath) != axis.paths.end()) {
        throw InputError(entry.key_place, "axes: expected 'seed' under 'seeds:'");
      }
      sweep.axes.push_back(std::move(axis));
    });
  }
}

// A path that is on two axes, or above one that is on another, would be set twice.
void check_paths(Document& document, const std::vector<Axis>& axes,
                 const std::vector<std::string>& set) {
  struct Use {
    std::string path;
    Place place;
  };
  std::vector<Use> uses;
  for (const Axis& axis : axes) {
    for (const std::string& path : axis.paths) {
      uses.push_back({path, axis.rows.front().front().place});
    }
  }
  const auto overlap = [](const std::string& a, const std::string& b) {
    return a == b || b.starts_with(a + '.');
  };
  for (std::size_t i = 0; i < uses.size(); ++i) {
    for (std::size_t k = 0; k < uses.size(); ++k) {
      const bool named = uses[i].path != uses[k].path &&
                         std::ranges::find(named_keys(), uses[i].path) != named_keys().end();
      if (i == k || named || !overlap(uses[i].path, uses[k].path)) continue;
      if (uses[i].path == uses[k].path && i < k) continue;
      document.add_error(uses[i].place, "axes: expected each key once, got '" + uses[i].path +
                                            "' beside '" + uses[k].path + "'");
    }
  }
  for (const std::string& option : set) {
    const std::string path = option.substr(0, option.find('='));
    for (const Use& use : uses) {
      if (path != use.path) continue;
      document.add_error(Place{"--set " + option}, "'" + path + "' is an axis of the sweep");
    }
  }
}

std::vector<Condition> read_conditions(Section& top, Document& document, const char* key) {
  std::vector<Condition> out;
  const YamlNode* node = top.node(key);
  if (node == nullptr) return out;
  if (node->kind != Kind::list) {
    document.add_error(node->place,
                       std::string(key) + ": expected a list of comparisons, got " + shown(*node));
    return out;
  }
  for (const YamlNode& item : node->children) {
    if (item.kind != Kind::scalar) {
      document.add_error(
          item.place,
          std::string(key) + ": expected a comparison such as 'a <= 5', got " + shown(item));
      continue;
    }
    collecting(document, [&] { out.emplace_back(item.text, item.place); });
  }
  return out;
}

// Names on the left are keys of the scenario; a text on the right that its axis never has is a
// slip.
void check_constraint(const Condition& constraint, const SweepFile& sweep, const YamlNode& base,
                      const std::vector<std::string>& known) {
  const auto refuse = [&](const std::string& message) {
    throw InputError(constraint.place(), shown(constraint.text()) + ": " + message);
  };
  const auto is_known = [&](const std::string& name) {
    return std::ranges::find(known, name) != known.end();
  };
  for (const std::string& name : constraint.left_names()) {
    if (is_known(name)) continue;
    if (find_path(base, name) != nullptr) refuse("'" + name + "' is no single value");
    refuse("unknown key '" + name + "', which neither an axis nor the base sets" +
           suggestion(name, known));
  }
  if (constraint.left_names().size() != 1) return;
  for (const Axis& axis : sweep.axes) {
    const auto column = std::ranges::find(axis.paths, constraint.left_names().front());
    if (column == axis.paths.end()) continue;
    const auto j = static_cast<std::size_t>(column - axis.paths.begin());
    std::vector<std::string> values;
    for (const auto& row : axis.rows) values.push_back(text_of(row[j]));
    for (const std::string& word : constraint.right_words()) {
      if (is_known(word) || std::ranges::find(values, word) != values.end()) continue;
      refuse("'" + word + "' is no value of the axis" + suggestion(word, values));
    }
  }
}

// Figures are plain numbers whose unit their name says: "ttft_ms.p99", "kv_peak_gib.swa".
struct FigureUnit {
  std::string_view ending, unit;
  double size = 1;  // in bytes or ns
  bool is_time = false;
};
constexpr FigureUnit kFigureUnits[] = {
    {"_ms", "ms", 1e6, true}, {"_s", "s", 1e9, true}, {"_gib", "GiB", 1024.0 * 1024 * 1024, false}};

// What is said of a figure that is compared with `amount`.
std::string without_unit(const std::string& figure, const std::string& amount) {
  std::string hint, text = "'" + figure + "' is a plain number";
  const std::string_view name = std::string_view(figure).substr(0, figure.find('.'));
  for (const FigureUnit& unit : kFigureUnits) {
    // Throughputs end so too.
    if (!name.ends_with(unit.ending) || name.ends_with("_tok_s") || name.ends_with("request_s"))
      continue;
    text += " in " + std::string(unit.unit);
    const auto bytes = parse_value<Bytes>(amount, hint);
    const auto time = parse_value<Duration>(amount, hint);
    if (unit.is_time ? !time : !bytes) break;
    const auto size = static_cast<double>(unit.is_time ? time->count() : bytes->value) / unit.size;
    return text + ": expected " + value_text(size) + " in place of '" + amount + "'";
  }
  return text + ": expected a number without a unit in place of '" + amount + "'";
}

void check_threshold(const Condition& threshold, const std::vector<std::string>& further) {
  std::vector<std::string> known = figure_names({tier_names(), true, true});
  known.insert(known.end(), further.begin(), further.end());
  const auto refuse = [&](const std::string& message) {
    throw InputError(threshold.place(), shown(threshold.text()) + ": " + message);
  };
  for (const std::string& name : threshold.left_names()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    refuse("unknown figure '" + name + "'" + suggestion(name, known));
  }
  if (!threshold.right_is_number()) refuse("expected a number on the right");
  if (const std::string amount = threshold.first_amount(); !amount.empty()) {
    refuse(without_unit(threshold.left_names().front(), amount));
  }
}

void read_seeds(Section& top, Document& document, const YamlNode& base,
                std::optional<std::uint64_t> seed, SweepFile& sweep) {
  Axis axis{kSeedPath, {kSeedPath}, {}};
  const YamlNode* node = top.node("seeds");
  YamlNode single = YamlNode::made(Kind::scalar, {sweep.base_file});
  single.text = "1";
  if (const YamlNode* own = base.find(kSeedPath)) single = *own;
  if (seed) {
    single.text = std::to_string(*seed);
    single.place = {"--seed " + single.text};
  }
  if (node == nullptr || seed) {
    axis.rows.push_back({single});
  } else if (node->kind == Kind::scalar) {
    axis.rows.push_back({*node});
  } else {
    YamlNode list = *node;
    list.key = kSeedPath;
    collecting(document, [&] { axis = read_axis(list); });
  }
  if (!axis.rows.empty()) sweep.axes.push_back(std::move(axis));
}

}  // namespace

std::vector<KeySpec> sweep_key_list() {
  return {
      key<std::string>("base", "scenario that the points change").must(),
      section_key("axes", axes_keys, "key paths of the base and the values of each"),
      any_key("seeds", "one seed, a list or a grid"),
      key<std::string>("constraints", "comparisons of keys; what breaks one is left out").listed(),
      key<std::string>("thresholds", "comparisons of figures that a result must keep").listed()};
}

YamlNode base_tree(const std::string& text, const std::string& file,
                   const std::vector<std::string>& set) {
  YamlNode root = parse_yaml(text, file);
  if (root.kind != Kind::map) {
    throw InputError(root.place, "expected a scenario (keys such as model: deepseek-v4-pro), got " +
                                     shown(root));
  }
  ScenarioOptions options;
  options.set = set;
  apply_overrides(root, options);
  return root;
}

std::optional<std::string> value_at(const std::string& path, const std::vector<Axis>& axes,
                                    const std::vector<std::uint32_t>& rows, const YamlNode& base) {
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const auto column = std::ranges::find(axes[a].paths, path);
    if (column == axes[a].paths.end()) continue;
    return text_of(axes[a].rows[rows[a]][static_cast<std::size_t>(column - axes[a].paths.begin())]);
  }
  const YamlNode* node = find_path(base, path);
  if (node == nullptr || node->kind != Kind::scalar) return std::nullopt;
  return node->text;
}

SweepFile read_sweep(const std::string& path, const std::vector<std::string>& set,
                     std::optional<std::uint64_t> seed) {
  return sweep_of_tree(parse_yaml(read_text_file(path), path), path, set, seed);
}

SweepFile sweep_of_tree(YamlNode root, const std::string& path, const std::vector<std::string>& set,
                        std::optional<std::uint64_t> seed,
                        const std::vector<std::string>& further_figures) {
  Document document(std::move(root), path);
  Section top = document.root(sweep_keys);
  SweepFile sweep;
  sweep.name = fs::path(path).stem().string();
  sweep.set = set;
  const auto base_name = top.required<std::string>("base");
  read_axes(top, document, sweep);
  const YamlNode* const seeds = top.node("seeds");
  sweep.constraints = read_conditions(top, document, "constraints");
  sweep.thresholds = read_conditions(top, document, "thresholds");
  for (const Condition& threshold : sweep.thresholds) {
    collecting(document, [&] { check_threshold(threshold, further_figures); });
  }
  if (sweep.axes.empty() && seeds == nullptr && !top.has("axes")) {
    top.error("axes", "expected axes: {key.path: [value, ...]}, the key is missing");
  }
  top.reject_unknown();
  if (base_name.empty()) document.checkpoint();

  // Everything from here on needs the base.
  const fs::path base = fs::path(path).parent_path() / base_name;
  sweep.base_file = fs::absolute(base).lexically_normal().string();
  YamlNode tree;
  collecting(document, [&] {
    if (!fs::exists(base)) {
      throw InputError(top.node("base")->place,
                       "base: expected a scenario, found no file " + shown(base.string()));
    }
    sweep.base_text = read_text_file(base.string());
    tree = base_tree(sweep.base_text, sweep.base_file, set);
  });
  if (tree.kind == Kind::map) {
    read_seeds(top, document, tree, seed, sweep);
    check_paths(document, sweep.axes, set);
    std::vector<std::string> known = paths_of(sweep.axes);
    add_leaves(tree, "", known);
    for (const Condition& constraint : sweep.constraints) {
      collecting(document, [&] { check_constraint(constraint, sweep, tree, known); });
    }
  }
  document.checkpoint();
  return sweep;
}

}  // namespace v4cap
