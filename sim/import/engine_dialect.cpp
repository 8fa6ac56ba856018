#include "sim/import/engine_dialect.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace {

std::string_view file_part(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

const VariableUse* LaunchContext::variable(std::string_view name) const {
  const auto it = std::ranges::find(variables, name, &VariableUse::name);
  return it == variables.end() ? nullptr : &*it;
}

const LogFact* LaunchContext::stated(LogQuantity quantity) const {
  const auto it = std::ranges::find(log, quantity, &LogFact::quantity);
  return it == log.end() ? nullptr : &*it;
}

std::optional<std::size_t> after_words(const std::vector<ShellWord>& words, std::string_view first,
                                       std::string_view second) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (file_part(words[i].text) == first && words[i + 1].text == second) return i + 2;
  }
  return std::nullopt;
}

std::optional<std::size_t> after_word(const std::vector<ShellWord>& words, std::string_view word) {
  const auto it =
      std::ranges::find_if(words, [&](const ShellWord& w) { return file_part(w.text) == word; });
  if (it == words.end()) return std::nullopt;
  return static_cast<std::size_t>(it - words.begin()) + 1;
}

std::optional<std::int64_t> parse_engine_count(std::string_view text) {
  struct Suffix {
    std::string_view text;
    double factor;
  };
  constexpr Suffix kSuffixes[] = {{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30},
                                  {"k", 1e3},      {"m", 1e6},      {"g", 1e9},
                                  {"K", 1 << 10},  {"M", 1 << 20},  {"G", 1 << 30}};
  double factor = 1;
  for (const Suffix& suffix : kSuffixes) {
    if (!text.ends_with(suffix.text)) continue;
    factor = suffix.factor;
    text.remove_suffix(suffix.text.size());
    break;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  value *= factor;
  if (value != std::floor(value) || std::abs(value) > 1e15) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

void draft_with_one_layer(const LaunchContext& context, const std::string& reason,
                          ScenarioDraft& draft) {
  if (context.model.mtp_layers > 1) draft.assume("model.mtp_layers", "1", reason);
}

std::string number_text(double value) {
  return value_text<double>(value);
}

// A value that only the shell knows.
bool FlagReader::is_open(const FlagUse& use) {
  if (use.unresolved.empty()) return false;
  const bool said = std::ranges::any_of(draft_.omissions(),
                                        [&](const Omission& o) { return o.flag == use.quoted(); });
  if (!said) {
    draft_.leave_out(use, "the text does not say what " + use.unresolved.front() +
                              " is; the engine's default stands in its place");
  }
  draft_.leave_open({use.written, "", ""});
  return true;
}

bool FlagReader::open(std::string_view name) const {
  const FlagUse* use = find(name);
  return use != nullptr && !use->unresolved.empty();
}

void FlagReader::stands_in(std::string_view name, const std::string& path,
                           const std::string& assumed) {
  if (open(name)) draft_.leave_open({find(name)->written, path, assumed});
}

std::string FlagReader::default_reason(std::string_view name, const std::string& reason) const {
  return open(name) ? find(name)->quoted() + " is not known: " + reason : reason;
}

std::int64_t FlagReader::count_or(const std::string& path, std::string_view name, std::int64_t min,
                                  std::int64_t max, std::int64_t fallback) {
  stands_in(name, path, std::to_string(fallback));
  return count(name, min, max).value_or(fallback);
}

bool FlagReader::on(std::string_view name) const {
  const FlagUse* use = find(name);
  return use != nullptr && use->value == "true";
}

std::optional<std::int64_t> FlagReader::count(std::string_view name, std::int64_t min,
                                              std::int64_t max) {
  const FlagUse* use = find(name);
  if (use == nullptr || is_open(*use)) return std::nullopt;
  const std::optional<std::int64_t> value = parse_engine_count(use->value);
  if (!value || *value < min || *value > max) {
    throw InputError(use->value_place, use->written + ": expected a whole number from " +
                                           std::to_string(min) + " to " + std::to_string(max) +
                                           ", got " + shown(use->value));
  }
  return value;
}

std::optional<double> FlagReader::fraction(std::string_view name) {
  const FlagUse* use = find(name);
  if (use == nullptr || is_open(*use)) return std::nullopt;
  std::string hint;
  const std::optional<double> value = parse_value<double>(use->value, hint);
  if (!value || *value <= 0 || *value > 1) {
    throw InputError(use->value_place, use->written + ": expected a number above 0 up to 1, got " +
                                           shown(use->value));
  }
  return value;
}

std::optional<double> FlagReader::number(std::string_view name, double min, double max) {
  const FlagUse* use = find(name);
  if (use == nullptr || is_open(*use)) return std::nullopt;
  std::string hint;
  const std::optional<double> value = parse_value<double>(use->value, hint);
  if (!value || *value < min || *value > max) {
    throw InputError(use->value_place, use->written + ": expected a number from " +
                                           number_text(min) + " to " + number_text(max) + ", got " +
                                           shown(use->value));
  }
  return value;
}

std::optional<std::string> FlagReader::text(std::string_view name) {
  const FlagUse* use = find(name);
  if (use == nullptr || is_open(*use)) return std::nullopt;
  return use->value;
}

std::int64_t FlagReader::count_into(const std::string& path, std::string_view name,
                                    std::int64_t min, std::int64_t fallback,
                                    const std::string& reason) {
  const std::optional<std::int64_t> value = count(name, min);
  if (value) {
    draft_.set(path, std::to_string(*value), *find(name));
  } else {
    draft_.assume(path, std::to_string(fallback), default_reason(name, reason));
    stands_in(name, path, std::to_string(fallback));
  }
  return value.value_or(fallback);
}

}  // namespace v4cap
