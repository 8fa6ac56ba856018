#include "sim/sweep/condition.h"

#include <algorithm>
#include <sstream>

#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

namespace {

const std::vector<std::string>& operators() {
  static const std::vector<std::string> all = {"<=", ">=", "<", ">", "==", "!="};
  return all;
}

bool is_operator(const std::string& word) {
  return std::ranges::find(operators(), word) != operators().end();
}

// What a number counts: numbers of different kinds do not compare.
enum class Counts : std::uint8_t { plain, bytes, time, byte_rate, flop_rate };

struct Number {
  double value = 0;
  Counts counts = Counts::plain;
};

std::optional<Number> number_of(const std::string& text) {
  std::string hint;
  if (const auto plain = parse_value<double>(text, hint)) return Number{*plain, Counts::plain};
  if (const auto bytes = parse_value<Bytes>(text, hint)) {
    return Number{static_cast<double>(bytes->value), Counts::bytes};
  }
  if (const auto time = parse_value<Duration>(text, hint)) {
    return Number{static_cast<double>(time->count()), Counts::time};
  }
  if (const auto rate = parse_value<BytesPerSecond>(text, hint)) {
    return Number{rate->value, Counts::byte_rate};
  }
  if (const auto rate = parse_value<FlopPerSecond>(text, hint)) {
    return Number{rate->value, Counts::flop_rate};
  }
  return std::nullopt;
}

bool compare(double a, const std::string& op, double b) {
  if (op == "<=") return a <= b;
  if (op == ">=") return a >= b;
  if (op == "<") return a < b;
  if (op == ">") return a > b;
  return (a == b) == (op == "==");
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

}  // namespace

struct Condition::Value {
  std::optional<Number> number;
  std::string text;
};

Condition::Condition(std::string text, Place place)
    : text_(std::move(text)), place_(std::move(place)) {
  const std::vector<std::string> words = words_of(text_);
  const auto first = std::ranges::find_if(words, is_operator);
  if (first == words.end()) {
    fail("expected NAME OPERATOR VALUE with spaces between" + suggestion("", operators()));
  }
  if (std::find_if(first + 1, words.end(), is_operator) != words.end()) {
    fail("expected one comparison; write each as an entry of its own");
  }
  op_ = *first;
  left_ = read_side({words.begin(), first});
  right_ = read_side({first + 1, words.end()});
  if (left_.names.empty()) fail("expected a name on the left of '" + op_ + "'");
}

std::string Condition::first_amount() const {
  for (const Side* side : {&left_, &right_}) {
    for (const Factor& factor : side->factors) {
      if (!factor.is_name && number_of(factor.text)->counts != Counts::plain) return factor.text;
    }
  }
  return "";
}

void Condition::fail(const std::string& message) const {
  throw InputError(place_, shown(text_) + ": " + message);
}

Condition::Side Condition::read_side(const std::vector<std::string>& words) const {
  Side side;
  bool factor_next = true;
  std::size_t i = 0;
  for (; i < words.size() && (words[i] == "*") != factor_next; ++i) {
    factor_next = !factor_next;
    if (factor_next) continue;
    Factor factor{words[i], false};
    // A number may be two words: 8 GiB.
    if (i + 1 < words.size() && number_of(words[i] + ' ' + words[i + 1])) {
      factor.text += ' ' + words[++i];
    }
    factor.is_name = !number_of(factor.text);
    if (factor.is_name) side.names.push_back(factor.text);
    side.factors.push_back(std::move(factor));
  }
  if (i < words.size() || factor_next) {
    fail("expected a name, a number or a product of them (a * b) on each side");
  }
  return side;
}

Condition::Value Condition::value_of(const Side& side, const Lookup& lookup) const {
  Number product{1, Counts::plain};
  for (const Factor& factor : side.factors) {
    const std::optional<std::string> found =
        factor.is_name ? lookup(factor.text) : std::optional(factor.text);
    const std::string text = found.value_or(factor.text);
    const auto number = number_of(text);
    if (side.factors.size() == 1) return {number, text};
    if (!number) fail("expected numbers in a product, got " + shown(text) + " for " + factor.text);
    if (number->counts != Counts::plain) {
      if (product.counts != Counts::plain) fail("expected one factor with a unit at most");
      product.counts = number->counts;
    }
    product.value *= number->value;
  }
  return {product, ""};
}

bool Condition::holds(const Lookup& lookup) const {
  const Value left = value_of(left_, lookup), right = value_of(right_, lookup);
  if (left.number && right.number) {
    if (left.number->counts != right.number->counts) {
      fail("expected numbers of the same unit, got " + shown(left.text) + " and " +
           shown(right.text));
    }
    return compare(left.number->value, op_, right.number->value);
  }
  if (op_ != "==" && op_ != "!=") {
    fail("expected numbers on both sides of '" + op_ + "', got " + shown(left.text) + " and " +
         shown(right.text));
  }
  // A number and a text are never equal.
  const bool equal = !left.number && !right.number && left.text == right.text;
  return equal == (op_ == "==");
}

}  // namespace v4cap
