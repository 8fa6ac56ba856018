#include "sim/import/engine_log.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace {

// Colour sequences stand anywhere in a line; they are taken out, and with them a carriage return.
std::string plain(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b' && i + 1 < line.size() && line[i + 1] == '[') {
      i += 2;
      while (i < line.size() && (line[i] < '@' || line[i] > '~')) ++i;
    } else if (line[i] != '\r') {
      out += line[i];
    }
  }
  return out;
}

// Bounds of what a log may state: beyond them lies no machine, and arithmetic with them is not
// meant. Below: "above 0" where `above` says so.
struct LogBounds {
  double low, high;
  bool above;
};

LogBounds bounds_of(LogQuantity quantity) {
  constexpr double kGibMax = 64 * 1024, kCountMax = 1e15;
  switch (quantity) {
    case LogQuantity::weights_gib:
    case LogQuantity::kv_memory_gib:
      return {0, kGibMax, true};
    case LogQuantity::draft_weights_gib:
    case LogQuantity::request_slot_gib:  // no state by slot before 0.5.14
      return {0, kGibMax, false};
    case LogQuantity::memory_fraction:
      return {0, 1, true};
    case LogQuantity::bytes_per_full_token:
    case LogQuantity::max_running:
    case LogQuantity::max_context_tokens:
      return {0, kCountMax, true};
    case LogQuantity::step_tokens:  // -1: prompts are not cut
      return {-1, kCountMax, false};
    default:
      return {0, kCountMax, false};
  }
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "[... DP0 TP1 EP0]", "(Worker_DP0_TP1 pid=7)": every such part that stands before `end`.
std::string rank_of(std::string_view line, std::size_t end) {
  std::string rank;
  for (const std::string_view kind : {"DP", "TP", "EP", "PP", "pid="}) {
    for (std::size_t at = line.find(kind); at < end; at = line.find(kind, at + 1)) {
      std::size_t last = at + kind.size();
      while (last < end && is_digit(line[last])) ++last;
      if (last > at + kind.size()) rank += std::string(line.substr(at, last - at)) + ' ';
    }
  }
  return rank;
}

class LogReader {
 public:
  LogReader(const std::string& file, const std::vector<LogLine>& kinds)
      : file_(file), kinds_(kinds) {}

  void line(std::string_view raw, std::int64_t number) {
    const std::string text = plain(raw);
    for (const LogLine& kind : kinds_) {
      const std::size_t marker = text.find(kind.marker);
      if (marker == std::string::npos) continue;
      if (!kind.unless.empty() && text.find(kind.unless) != std::string::npos) continue;
      for (const LogField& field : kind.fields) read(field, text, marker, number);
    }
  }

  std::vector<LogFact> facts() const { return facts_; }

 private:
  // What a rank says for the n-th time belongs with what the others say for the n-th time: an
  // engine may size its pools twice.
  using Group = std::pair<LogQuantity, std::int64_t>;

  void read(const LogField& field, const std::string& text, std::size_t marker,
            std::int64_t number) {
    const std::size_t before = text.find(field.before);
    if (before == std::string::npos) {
      if (!field.required) return;
      throw InputError({file_, number, static_cast<std::int64_t>(marker) + 1},
                       "expected " + shown(field.before) + " and a number in a line about " +
                           shown(text.substr(marker, 40)));
    }
    const std::size_t at = before + field.before.size();
    const Place place{file_, number, static_cast<std::int64_t>(at) + 1};
    LogFact fact{field.quantity, 0, 0, 1, place, ""};
    if (field.quantity == LogQuantity::version) {
      fact.text = text.substr(at, text.find_first_of(" ,)\t", at) - at);
    } else if (field.quantity == LogQuantity::async_scheduling) {
      fact.low = fact.high = text.compare(at, 7, "enabled") == 0 ? 1 : 0;
    } else {
      fact.low = fact.high = number_at(text, at, place, field);
    }
    add(rank_of(text, marker), fact);
  }

  static double number_at(const std::string& text, std::size_t at, const Place& place,
                          const LogField& field) {
    std::string digits;
    std::size_t end = at;
    for (; end < text.size(); ++end) {
      const bool separates = text[end] == ',' && end + 1 < text.size() && is_digit(text[end + 1]) &&
                             end > at;  // 1,048,576
      if (separates) continue;
      if (!is_digit(text[end]) && text[end] != '.' && !(text[end] == '-' && end == at)) break;
      digits += text[end];
    }
    if (const std::size_t exponent = exponent_at(text, end); exponent > 0 && end > at) {
      digits += text.substr(end, exponent);
    }
    if (digits.ends_with('.')) digits.pop_back();  // end of a sentence
    double value = 0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || rest != digits.data() + digits.size() || digits.empty()) {
      throw InputError(place, "expected a number after " + shown(field.before) + ", got " +
                                  shown(text.substr(at, 20)));
    }
    const LogBounds bounds = bounds_of(field.quantity);
    if (value < bounds.low || value > bounds.high || (bounds.above && value == bounds.low)) {
      throw InputError(place, std::string(name_of(field.quantity)) + ": expected a number " +
                                  (bounds.above ? "above " : "from ") +
                                  value_text<double>(bounds.low) +
                                  (bounds.above ? " up to " : " to ") +
                                  value_text<double>(bounds.high) + ", got " + shown(digits));
    }
    return value;
  }

  // Characters of "e9" or "E+09" at `at`; 0 when there is none.
  static std::size_t exponent_at(const std::string& text, std::size_t at) {
    if (at >= text.size() || (text[at] != 'e' && text[at] != 'E')) return 0;
    std::size_t end = at + 1;
    if (end < text.size() && (text[end] == '+' || text[end] == '-')) ++end;
    const std::size_t first = end;
    while (end < text.size() && is_digit(text[end])) ++end;
    return end == first ? 0 : end - at;
  }

  void add(const std::string& rank, const LogFact& fact) {
    const std::int64_t turn = turns_[{fact.quantity, rank}]++;
    const Group group{fact.quantity, turn};
    const auto known = by_group_.find(group);
    if (known == by_group_.end()) {
      by_group_[group] = facts_.size();
      facts_.push_back(fact);
      return;
    }
    LogFact& together = facts_[known->second];
    together.low = std::min(together.low, fact.low);
    together.high = std::max(together.high, fact.high);
    ++together.ranks;
  }

  const std::string& file_;
  const std::vector<LogLine>& kinds_;
  std::vector<LogFact> facts_;
  std::map<Group, std::size_t> by_group_;
  std::map<std::pair<LogQuantity, std::string>, std::int64_t> turns_;
};

// Ranks without a name repeat each other: the same figure is then stated once.
std::vector<LogFact> without_repetitions(const std::vector<LogFact>& facts) {
  std::vector<LogFact> out;
  for (const LogFact& fact : facts) {
    const auto same = std::ranges::find_if(out, [&](const LogFact& other) {
      return other.quantity == fact.quantity && other.low == fact.low && other.high == fact.high &&
             other.text == fact.text;
    });
    if (same == out.end()) {
      out.push_back(fact);
    } else {
      same->ranks = std::max(same->ranks, fact.ranks);
    }
  }
  return out;
}

}  // namespace

std::string_view name_of(LogQuantity quantity) {
  switch (quantity) {
    case LogQuantity::weights_gib:
      return "weights_gib";
    case LogQuantity::draft_weights_gib:
      return "draft_weights_gib";
    case LogQuantity::kv_memory_gib:
      return "kv_memory_gib";
    case LogQuantity::request_slot_gib:
      return "request_slot_gib";
    case LogQuantity::bytes_per_full_token:
      return "bytes_per_full_token";
    case LogQuantity::kv_cache_tokens:
      return "kv_cache_tokens";
    case LogQuantity::swa_tokens:
      return "swa_tokens";
    case LogQuantity::c4_entries:
      return "c4_entries";
    case LogQuantity::c128_entries:
      return "c128_entries";
    case LogQuantity::c4_state_rows:
      return "c4_state_rows";
    case LogQuantity::max_running:
      return "max_running";
    case LogQuantity::step_tokens:
      return "step_tokens";
    case LogQuantity::max_context_tokens:
      return "max_context_tokens";
    case LogQuantity::max_concurrency:
      return "max_concurrency";
    case LogQuantity::memory_fraction:
      return "memory_fraction";
    case LogQuantity::version:
      return "version";
    case LogQuantity::async_scheduling:
      return "async_scheduling";
  }
  return "";
}

std::vector<LogFact> read_engine_log(std::string_view text, const std::string& file,
                                     const std::vector<LogLine>& kinds) {
  LogReader reader(file, kinds);
  std::int64_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    reader.line(text.substr(0, end), ++number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return without_repetitions(reader.facts());
}

}  // namespace v4cap
