#include "sim/config/profile_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

#include "sim/config/data_files.h"
#include "sim/config/engine_file.h"
#include "sim/config/host_section.h"
#include "sim/config/profile_names.h"
#include "sim/config/section.h"
#include "sim/core/text_file.h"
#include "sim/cost/layer_cost.h"
#include "sim/cost/step_fit.h"

namespace v4cap {

namespace fs = std::filesystem;

namespace {

constexpr double kValueMax = 1e15;

const std::vector<std::string> kAxisUnits = {"rows", "tokens", "bytes"};

std::string csv_path(const std::string& yaml) {
  return fs::path(yaml).replace_extension(".csv").string();
}

// ---- YAML ----

// Items of the list called `key`, which must be one and not empty.
std::span<const YamlNode> items_of(const YamlNode& node, const std::string& key,
                                   const Place& place) {
  const YamlNode* list = node.find(key);
  if (list == nullptr || list->kind != YamlNode::Kind::list || list->children.empty()) {
    throw InputError(list == nullptr ? place : list->place,
                     key + ": expected a list with at least one entry, got " +
                         (list == nullptr ? "nothing" : shown(*list)));
  }
  return list->children;
}

template <class E>
Names names_of(const std::vector<std::pair<std::string, E>>& values) {
  Names names;
  for (const auto& [name, value] : values) names.push_back(name);
  return names;
}

const std::vector<KeySpec>& axis_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the axis").must(),
      choice_key(
          "unit", [] { return kAxisUnits; }, "what it counts")
          .must(),
      choice_key(
          "interpolation", [] { return names_of(kInterpolations); }, "between samples")
          .must(),
      key<bool>("monotone", "true: a time never falls along it")};
  return keys;
}

const std::vector<KeySpec>& coefficient_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const std::string& name : step_coefficient_names()) {
      const bool is_shape = name == "experts";
      out.push_back(key<double>(name, "coefficient of the step's time")
                        .within(is_shape ? 1.0 : 0.0, {})
                        .must());
    }
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& largest_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> out;
    for (const char* name : kStepSizes) {
      out.push_back(
          key<double>(name, "the most that a step of the log had; 0: none had any").must());
    }
    return out;
  }();
  return keys;
}

const std::vector<KeySpec>& step_deployment_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("model", "that the engine served"),
      key<std::int64_t>("tensor_parallel", "GPUs of an attention rank").within(1, {}),
      key<std::int64_t>("data_parallel", "attention ranks").within(1, {}),
      key<std::int64_t>("expert_parallel", "GPUs that whole experts are spread over").within(1, {}),
      key<std::int64_t>("draft_tokens", "of a speculating step")};
  return keys;
}

const std::vector<KeySpec>& held_out_keys() {
  static const std::vector<KeySpec> keys = {
      key<double>("median_pct", "median of the error on samples that were left out").must(),
      key<double>("p90_pct", "90th percentile").must(), key<double>("worst_pct", "worst").must(),
      key<std::int64_t>("samples", "how many were left out").must()};
  return keys;
}

const std::vector<KeySpec>& refused_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::int64_t>("*", "rows that were refused for this reason").within(1, {})};
  return keys;
}

const std::vector<KeySpec>& family_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the family of operators").must(),
      choice_key(
          "grain", [] { return names_of(kProfileGrains); }, "what one sample times")
          .must(),
      key<std::string>("engine", "whose kernels they are").must(),
      key<std::string>("engine_version", "of that engine").must(),
      key<std::string>("kernel_source", "library of the kernels").must(),
      choice_key(
          "unit", [] { return Names{"us"}; }, "of the times")
          .must(),
      list_key<std::string>("keys", "what tells series apart"),
      section_key("coefficients", coefficient_keys, "grain step: in place of samples"),
      section_key("largest", largest_keys, "grain step: of the steps of the log"),
      section_key("deployment", step_deployment_keys,
                  "grain step: whose steps they are; a scenario with another one is refused"),
      items_key("axes", axis_keys, "of the samples, in their order; all but grain step"),
      list_key<std::string>("covers", "operators whose time is in it"),
      list_key<std::string>("marks", "what a reader of it must know, by name"),
      key<std::string>("note", "for people"),
      key<std::int64_t>("rows", "measurements that it was made from").must(),
      section_key("held_out", held_out_keys, "error where it was not fitted").must(),
      section_key("refused_rows", refused_keys, "how many were refused, by reason")};
  return keys;
}

const std::vector<KeySpec>& profile_keys() {
  static const std::vector<KeySpec> keys = {
      key<std::string>("name", "of the file").must(),
      key<std::string>("gpu", "as hardware files name it").must(),
      key<std::string>("engine", "that ran").must(),
      key<std::string>("engine_version", "of it").must(),
      key<std::string>("device", "as its driver names it").must(),
      key<std::string>("driver", "version").must(),
      key<std::string>("clocks", "at which it ran").must(),
      key<std::string>("date", "of the measurement").must(),
      key<std::string>("source", "who measured, how").must(),
      key<std::string>("licence", "of the data").must(),
      section_key("host", measured_host_keys, "what the host took in the same runs"),
      items_key("families", family_keys, "one for each table of samples").must()};
  return keys;
}

[[maybe_unused]] const bool registered =
    FileKinds::add("profile", {"measured times of a GPU under an engine", profile_keys});

ProfileAxis read_axis(const YamlNode& node, const std::string& path, const std::string& file) {
  Document document(node, file);
  Section section = document.root(axis_keys, path);
  ProfileAxis axis;
  axis.name = section.required<std::string>("name");
  axis.unit = kAxisUnits[section.choice("unit", kAxisUnits, std::nullopt)];
  axis.interpolation = section.one_of("interpolation", kInterpolations);
  axis.monotone = section.optional<bool>("monotone", false);
  section.reject_unknown();
  document.checkpoint();
  return axis;
}

std::vector<std::string> read_names(Section& section, const std::string& key) {
  return section.has(key) ? section.required_list<std::string>(key) : std::vector<std::string>{};
}

std::map<std::string, std::int64_t> read_counts(Section section, const YamlNode* map) {
  std::map<std::string, std::int64_t> out;
  if (map == nullptr) return out;
  for (const YamlNode& entry : map->children) {
    out[entry.key] = section.required<std::int64_t>(entry.key, at_least<std::int64_t>(1));
  }
  return out;
}

HeldOutError read_held_out(Section section) {
  HeldOutError out;
  out.median_pct = section.required<double>("median_pct");
  out.p90_pct = section.required<double>("p90_pct");
  out.worst_pct = section.required<double>("worst_pct");
  out.samples = section.required<std::int64_t>("samples");
  section.reject_unknown();
  return out;
}

std::map<std::string, double> read_coefficients(Section section) {
  std::map<std::string, double> out;
  for (const std::string& name : step_coefficient_names()) {
    out[name] = section.required<double>(name, at_least(name == "experts" ? 1.0 : 0.0));
  }
  if (out["experts_per_token"] > out["experts"]) {
    section.error("experts_per_token", fmt::format("expected at most experts, {:g}, got {:g}",
                                                   out["experts"], out["experts_per_token"]));
  }
  section.reject_unknown();
  return out;
}

std::map<std::string, double> read_largest(Section section) {
  std::map<std::string, double> out;
  for (const char* name : kStepSizes) out[name] = section.required<double>(name);
  section.reject_unknown();
  return out;
}

StepDeployment read_step_deployment(Section section) {
  const auto number = [&](const char* key, std::int64_t least) {
    return section.has(key)
               ? std::optional(section.required<std::int64_t>(key, at_least<std::int64_t>(least)))
               : std::nullopt;
  };
  StepDeployment out;
  out.model = section.optional<std::string>("model", "");
  out.tensor_parallel = number("tensor_parallel", 1);
  out.data_parallel = number("data_parallel", 1);
  out.expert_parallel = number("expert_parallel", 1);
  out.draft_tokens = number("draft_tokens", 0);
  section.reject_unknown();
  return out;
}

ProfileFamily read_family(const YamlNode& node, const std::string& path, const std::string& file) {
  if (node.kind != YamlNode::Kind::map) {
    throw InputError(node.place, "families: expected a map for each family, got " + shown(node));
  }
  Document document(node, file);
  Section section = document.root(family_keys, path);
  ProfileFamily family;
  family.name = section.required<std::string>("name");
  family.grain = section.one_of("grain", kProfileGrains);
  family.engine = section.required<std::string>("engine");
  family.engine_version = section.required<std::string>("engine_version");
  family.kernel_source = section.required<std::string>("kernel_source");
  section.choice("unit", {"us"}, std::nullopt);
  family.keys = read_names(section, "keys");
  const bool is_step = family.grain == ProfileGrain::step;
  if (is_step) {
    family.coefficients = read_coefficients(section.child("coefficients", true));
    family.largest = read_largest(section.child("largest", true));
    family.deployment = read_step_deployment(section.child("deployment"));
  } else {
    section.node("axes");
  }
  family.covers = read_names(section, "covers");
  family.marks = read_names(section, "marks");
  family.note = section.optional<std::string>("note", "");
  family.rows = section.required<std::int64_t>("rows");
  family.held_out = read_held_out(section.child("held_out", true));
  family.refused_rows = read_counts(section.child("refused_rows"), node.find("refused_rows"));
  section.reject_unknown();
  document.checkpoint();
  if (is_step) return family;
  const std::span<const YamlNode> axes = items_of(node, "axes", node.place);
  if (axes.size() > kSampleAxesMax) {
    throw InputError(axes.back().place, fmt::format("axes: expected at most {} axes, got {}",
                                                    kSampleAxesMax, axes.size()));
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    family.axes.push_back(read_axis(axes[i], section.path_of("axes", i), file));
  }
  return family;
}

// A family of whole layers is looked up by the names of its keys and the order of its axes.
void check_layer_family(const ProfileFamily& family, const YamlNode& node) {
  const auto known = std::ranges::find(layer_families(), family.name, &LayerFamily::name);
  if (known == layer_families().end()) return;
  const auto refuse = [&](const char* key, const std::vector<std::string>& wanted,
                          const std::vector<std::string>& got) {
    const YamlNode* at = node.find(key);
    throw InputError(
        at == nullptr ? node.place : at->place,
        fmt::format("{}: expected [{}] of {} of {}, got [{}]", key, fmt::join(wanted, ", "),
                    family.name, kLayerEngine, fmt::join(got, ", ")));
  };
  if (!std::ranges::is_permutation(family.keys, known->keys)) {
    refuse("keys", known->keys, family.keys);
  }
  std::vector<std::string> axes;
  for (const ProfileAxis& axis : family.axes) axes.push_back(axis.name);
  if (axes != known->axes) refuse("axes", known->axes, axes);
}

std::optional<HostCost> read_host_of(Section& section, bool is_required) {
  if (!is_required && !section.has("host")) return std::nullopt;
  return read_measured_host(section.child("host", is_required));
}

// Steps stand for all that happens in them: what else a profile said would never be looked up.
void check_alone(const Profile& profile, const YamlNode& families) {
  const ProfileFamily* const steps = profile.whole_steps();
  if (steps == nullptr || profile.families.size() == 1) return;
  const auto at = static_cast<std::size_t>(steps - profile.families.data());
  throw InputError(families.children[at].place, "families: expected " + shown(steps->name) +
                                                    " alone, as it is of grain step, got " +
                                                    std::to_string(profile.families.size()) +
                                                    " families");
}

// Times of whole steps have the host in them.
bool is_of_steps(const YamlNode& root) {
  const YamlNode* const families = root.find("families");
  return families != nullptr && std::ranges::any_of(families->children, [](const YamlNode& one) {
           const YamlNode* const grain = one.find("grain");
           return grain != nullptr && grain->text == "step";
         });
}

Profile read_description(const YamlNode& root, const std::string& file) {
  Document document(root, file);
  Section section = document.root(profile_keys);
  Profile p;
  p.file = file;
  p.name = section.required<std::string>("name");
  if (p.name != fs::path(file).stem().string()) {
    section.error("name", "expected the name of the file, " +
                              shown(fs::path(file).stem().string()) + ", got " + shown(p.name));
  }
  p.gpu = section.required<std::string>("gpu");
  p.engine = section.required<std::string>("engine");
  p.engine_version = section.required<std::string>("engine_version");
  p.device = section.required<std::string>("device");
  p.driver = section.required<std::string>("driver");
  p.clocks = section.required<std::string>("clocks");
  p.date = section.required<std::string>("date");
  p.source = section.required<std::string>("source");
  p.licence = section.required<std::string>("licence");
  section.node("families");
  p.host = read_host_of(section, p.engine == kLayerEngine && !is_of_steps(root));
  section.reject_unknown();
  document.checkpoint();
  const std::span<const YamlNode> families = items_of(root, "families", Place{file});
  for (std::size_t i = 0; i < families.size(); ++i) {
    const YamlNode& node = families[i];
    ProfileFamily family = read_family(node, section.path_of("families", i), file);
    if (p.find(family.name) != nullptr) {
      throw InputError(node.place, "families: " + shown(family.name) + " is there twice");
    }
    if (p.engine == kLayerEngine) check_layer_family(family, node);
    p.families.push_back(std::move(family));
  }
  check_alone(p, *root.find("families"));
  return p;
}

// ---- CSV ----

struct Field {
  std::string_view text;
  std::int64_t column = 1;
};

void split(std::string_view line, std::vector<Field>& fields) {
  fields.clear();
  std::size_t begin = 0;
  while (true) {
    const std::size_t comma = line.find(',', begin);
    fields.push_back({line.substr(begin, comma - begin), static_cast<std::int64_t>(begin) + 1});
    if (comma == std::string_view::npos) return;
    begin = comma + 1;
  }
}

// Digits with at most one point among them, few enough for the number without its point and the power
// of ten to be doubles: their quotient is the nearest double (Clinger 1990). False: anything else.
bool short_decimal(std::string_view text, double& value) {
  constexpr std::array<double, 16> kPowers = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  if (text.empty() || text.size() >= kPowers.size()) return false;
  std::int64_t digits = 0;
  std::size_t count = 0, fraction = 0;
  bool has_point = false;
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      digits = 10 * digits + (c - '0');
      ++count;
      fraction += has_point ? 1 : 0;
    } else if (c == '.' && !has_point) {
      has_point = true;
    } else {
      return false;
    }
  }
  if (count == 0) return false;
  value = static_cast<double>(digits) / kPowers[fraction];
  return true;
}

class SamplesReader {
 public:
  SamplesReader(Profile& profile, const std::string& path) : profile_(profile), file_(path) {}

  void read() {
    file_.next();
    read_header();
    while (file_.next()) {
      if (file_.line().starts_with("family=")) {
        end_series();
        begin_series();
      } else {
        read_sample();
      }
    }
    end_series();
    check_counts();
  }

 private:
  [[noreturn]] void fail(std::int64_t column, const std::string& message) const {
    throw InputError(file_.place(column), message);
  }

  const std::vector<Field>& fields_of_line() {
    split(file_.line(), fields_);
    return fields_;
  }

  // The value of a field that must read `key=value`.
  std::string value_of(const Field& field, const std::string& key) const {
    const std::size_t equals = field.text.find('=');
    const std::string_view found = field.text.substr(0, equals);
    if (equals == std::string_view::npos || found != key) {
      fail(field.column, "expected " + key + "=..., got " + shown(field.text));
    }
    return std::string(field.text.substr(equals + 1));
  }

  std::int64_t count_of(const Field& field, const std::string& key) const {
    const std::string text = value_of(field, key);
    std::string hint;
    const auto count = parse_value<std::int64_t>(text, hint);
    if (!count || *count < 1) {
      fail(field.column, key + ": expected a whole number of at least 1, got " + shown(text));
    }
    return *count;
  }

  void same(const Field& field, const std::string& key, const std::string& wanted) const {
    const std::string got = value_of(field, key);
    if (got != wanted) {
      fail(field.column, key + ": expected " + shown(wanted) + ", as in " + profile_.file +
                             ", got " + shown(got));
    }
  }

  void read_header() {
    const std::vector<Field>& f = fields_of_line();
    const std::string format = value_of(f[0], "v4cap_profile");
    if (format != kProfileFormat) {
      fail(1, std::string("v4cap_profile: expected format ") + kProfileFormat + ", got " +
                  shown(format));
    }
    constexpr std::size_t kFields = 6;
    if (f.size() != kFields) {
      fail(1, fmt::format("expected {} fields in the header, got {}", kFields, f.size()));
    }
    same(f[1], "name", profile_.name);
    same(f[2], "engine", profile_.engine);
    same(f[3], "engine_version", profile_.engine_version);
    series_expected_ = count_of(f[4], "series");
    samples_expected_ = count_of(f[5], "samples");
  }

  void begin_series() {
    const std::vector<Field>& f = fields_of_line();
    const std::string name = value_of(f[0], "family");
    const auto family = std::ranges::find(profile_.families, name, &ProfileFamily::name);
    if (family == profile_.families.end()) {
      std::vector<std::string> known;
      for (const ProfileFamily& one : profile_.families) known.push_back(one.name);
      fail(1, "family: " + shown(name) + " is not in " + profile_.file + suggestion(name, known));
    }
    if (family->grain == ProfileGrain::step) {
      fail(1, "family: " + shown(name) + " has coefficients and takes no samples");
    }
    family_ = &*family;
    if (f.size() != family_->keys.size() + 2) {
      fail(1, fmt::format("expected family, {} and samples, got {} fields",
                          family_->keys.empty() ? "no key"
                                                : fmt::format("{}", fmt::join(family_->keys, ", ")),
                          f.size()));
    }
    ProfileSeries series;
    for (std::size_t i = 0; i < family_->keys.size(); ++i) {
      series.keys.push_back(value_of(f[i + 1], family_->keys[i]));
    }
    if (std::ranges::find(family_->series, series.keys, &ProfileSeries::keys) !=
        family_->series.end()) {
      fail(1, "family: these keys of " + shown(name) + " have had their samples already");
    }
    in_series_ = count_of(f.back(), "samples");
    family_->series.push_back(std::move(series));
    samples_.clear();
  }

  double number(const Field& field, const std::string& what) const {
    double value = 0;
    if (short_decimal(field.text, value)) return value;
    const char* end = field.text.data() + field.text.size();
    const auto [stop, error] = std::from_chars(field.text.data(), end, value);
    if (field.text.empty() || error != std::errc{} || stop != end || !std::isfinite(value)) {
      fail(field.column, what + ": expected a number, got " + shown(field.text));
    }
    return value;
  }

  void read_sample() {
    if (family_ == nullptr) fail(1, "expected a line 'family=...' before the first sample");
    const std::vector<Field>& f = fields_of_line();
    const std::size_t n = family_->axes.size();
    if (f.size() != n + 1) {
      fail(1, fmt::format("expected {} fields (a value for each axis, then us), got {}", n + 1,
                          f.size()));
    }
    Sample sample;
    for (std::size_t i = 0; i < n; ++i) sample.at[i] = axis_value(f[i], i);
    sample.us = number(f[n], "us");
    if (sample.us <= 0 || sample.us > kValueMax) {
      fail(f[n].column, "us: expected a time above 0, got " + shown(f[n].text));
    }
    if (!samples_.empty() && sample.at == samples_.back().at) {
      fail(1, "this point has had its sample already");
    }
    if (!samples_.empty() && sample.at < samples_.back().at) {
      std::size_t i = 0;
      while (sample.at[i] == samples_.back().at[i]) ++i;
      fail(f[i].column, family_->axes[i].name + ": expected ascending values, got " +
                            fmt::format("{:g} after {:g}", sample.at[i], samples_.back().at[i]));
    }
    samples_.push_back(sample);
  }

  double axis_value(const Field& field, std::size_t i) const {
    const ProfileAxis& axis = family_->axes[i];
    if (field.text.empty() && !samples_.empty()) return samples_.back().at[i];
    const double value = number(field, axis.name);
    const bool is_log = axis.interpolation == Interpolation::log;
    if (value < 0 || value > kValueMax || (is_log && value == 0)) {
      fail(field.column,
           axis.name + ": expected " +
               (is_log ? "a value above 0, as the axis is logarithmic" : "a value of at least 0") +
               ", got " + shown(field.text));
    }
    return value;
  }

  void end_series() {
    if (family_ == nullptr) return;
    const auto got = static_cast<std::int64_t>(samples_.size());
    if (got != in_series_) {
      fail(0, fmt::format("family {}: expected {} samples before this line, got {}", family_->name,
                          in_series_, got));
    }
    total_ += got;
    ++series_;
    std::vector<Interpolation> axes;
    for (std::size_t i = 0; i < family_->axes.size(); ++i) {
      axes.push_back(family_->axes[i].interpolation);
      if (!family_->axes[i].monotone) continue;
      const Raised raised = raise_to_running_maximum(samples_, i);
      family_->raised.samples += raised.samples;
      family_->raised.worst_pct = std::max(family_->raised.worst_pct, raised.worst_pct);
    }
    family_->series.back().grid = SampleGrid(std::move(axes), std::move(samples_));
    samples_ = {};
  }

  void check_counts() const {
    if (series_ != series_expected_ || total_ != samples_expected_) {
      fail(0, fmt::format("expected {} series and {} samples, as the header says, got {} and {}",
                          series_expected_, samples_expected_, series_, total_));
    }
    for (const ProfileFamily& family : profile_.families) {
      if (family.series.empty() && family.grain != ProfileGrain::step) {
        throw InputError(Place{file_.path()}, "family: expected samples of " + shown(family.name) +
                                                  ", which " + profile_.file +
                                                  " describes, got none");
      }
    }
  }

  Profile& profile_;
  TextFile file_;
  ProfileFamily* family_ = nullptr;
  std::vector<Field> fields_;
  std::vector<Sample> samples_;
  std::int64_t series_expected_ = 0, samples_expected_ = 0, in_series_ = 0;
  std::int64_t series_ = 0, total_ = 0;
};

}  // namespace

namespace {

// A scenario asks for the host before it asks for all: the last description is parsed once.
const YamlNode& description_of(const std::string& path) {
  struct Parsed {
    std::string path, text;
    YamlNode root;
  };
  thread_local Parsed last;
  std::string text = read_text_file(path);
  if (last.path != path || last.text != text) {
    YamlNode root = parse_yaml(text, path);
    last = {path, std::move(text), std::move(root)};
  }
  return last.root;
}

}  // namespace

Profile load_profile(const std::string& name, const std::string& scenario_dir, const Place& place) {
  const std::string path = find_data_file(DataKind::profile, name, scenario_dir, place);
  Profile profile = read_description(description_of(path), path);
  const bool has_samples = std::ranges::any_of(
      profile.families, [](const ProfileFamily& f) { return f.grain != ProfileGrain::step; });
  if (has_samples) SamplesReader(profile, csv_path(path)).read();
  return profile;
}

std::optional<HostCost> load_profile_host(const std::string& name, const std::string& scenario_dir,
                                          const Place& place) {
  const std::string path = find_data_file(DataKind::profile, name, scenario_dir, place);
  Document document(description_of(path), path);
  Section section = document.root(profile_keys);
  std::optional<HostCost> host = read_host_of(section, false);
  document.checkpoint();
  return host;
}

namespace {

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

}  // namespace

std::string default_profile(const std::vector<std::string>& names, const std::string& gpu,
                            const std::string& engine) {
  const std::string prefix = in_lower_case(gpu + '-' + engine + '-');
  std::string newest;
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    const auto order =
        newest.empty() ? std::optional(1)
                       : compare_versions(name.substr(prefix.size()), newest.substr(prefix.size()));
    if (order.value_or(name > newest ? 1 : -1) > 0) newest = name;
  }
  return newest;
}

bool is_profile_of(const std::string& name, const std::string& gpu) {
  return name.starts_with(in_lower_case(gpu) + '-');
}

std::string any_profile(const std::vector<std::string>& names, const std::string& gpu) {
  std::string first;
  for (const std::string& name : names) {
    if (!is_profile_of(name, gpu)) continue;
    const std::size_t begin = gpu.size() + 1;
    const std::string engine = name.substr(begin, name.find('-', begin) - begin);
    if (engine != kLayerEngine && (first.empty() || engine < first)) first = engine;
  }
  return first.empty() ? "" : default_profile(names, gpu, first);
}

}  // namespace v4cap
