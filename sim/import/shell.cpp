#include "sim/import/shell.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <utility>

namespace v4cap {

namespace {

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
}

// Variables that repeat themselves grow twofold with every line.
constexpr std::size_t kWordMax = std::size_t{1} << 20;
constexpr std::size_t kExpandedMax = std::size_t{64} << 20;  // by all variables together

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, text) != names.end();
}

// Length of the NAME in "NAME=value" or "NAME+=value"; 0 for another word.
std::size_t assigned_name(const std::string& text) {
  std::size_t end = 0;
  while (end < text.size() && is_name(text[end])) ++end;
  if (end == 0 || !is_name_start(text[0])) return 0;
  return text.compare(end, 1, "=") == 0 || text.compare(end, 2, "+=") == 0 ? end : 0;
}

class ShellReader {
 public:
  ShellReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::vector<ShellCommand> read() {
    while (!at_end()) step();
    end_command();
    return std::move(commands_);
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  Place place() const { return {file_, line_, column_}; }

  char take() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      column_ = 1;
    } else {
      ++column_;
    }
    return c;
  }

  // A backslash at the end of a line joins it with the next.
  bool skip_continuation() {
    const std::size_t length = peek(1) == '\n' ? 2 : peek(1) == '\r' && peek(2) == '\n' ? 3 : 0;
    if (peek() != '\\' || length == 0) return false;
    for (std::size_t i = 0; i < length; ++i) take();
    return true;
  }

  void step() {
    if (skip_continuation()) return;
    const char c = peek();
    if (c == '\n') {
      take();
      if (!in_list_) end_command();
      skip_here_documents();
    } else if (c == ' ' || c == '\t' || c == '\r') {
      take();
    } else if (c == '#') {
      while (!at_end() && peek() != '\n') take();
    } else if (c == ';' || c == '|' || c == '(' || c == ')') {
      take();
      end_command();
    } else if (c == '&') {
      take();
      if (peek() != '>') end_command();
    } else if (c == '<' || c == '>') {
      redirect();
    } else {
      word();
    }
  }

  // Operator and target; what is redirected is nothing to us.
  void redirect() {
    const bool here = peek() == '<' && peek(1) == '<' && peek(2) != '<';
    while (peek() == '<' || peek() == '>' || peek() == '&' || (here && peek() == '-')) take();
    while (peek() == ' ' || peek() == '\t') take();
    if (at_end() || peek() == '\n') return;
    const ShellWord target = read_word();
    if (here) here_ends_.push_back(target.text);
  }

  void skip_here_documents() {
    for (const std::string& end : here_ends_) {
      while (!at_end()) {
        std::string line;
        while (!at_end() && peek() != '\n') line += take();
        if (!at_end()) take();
        if (line == end) break;
      }
    }
    here_ends_.clear();
  }

  void word() {
    const bool quoted = peek() == '\'' || peek() == '"';
    ShellWord word = read_word();
    const bool is_descriptor =
        !quoted && (peek() == '<' || peek() == '>') && !word.text.empty() &&
        std::ranges::all_of(word.text, [](char c) { return c >= '0' && c <= '9'; });
    if (is_descriptor) return;  // the 2 of 2>&1
    if (!quoted && take_assignment(word)) return;
    current_.words.push_back(std::move(word));
  }

  bool exports() const { return current_.words.size() == 1 && current_.words[0].text == "export"; }

  // NAME=value before a command or after export; NAME=( and NAME+=( leave what follows as words.
  bool take_assignment(const ShellWord& word) {
    if (!current_.words.empty() && !exports()) return false;
    const std::size_t end = assigned_name(word.text);
    if (end == 0) return false;
    const bool adds = word.text[end] == '+';
    if (peek() == '(') {
      take();
      end_command();
      in_list_ = true;
      return true;
    }
    ShellWord value = word;
    value.text = word.text.substr(end + (adds ? 2 : 1));
    value.place.column += static_cast<std::int64_t>(end + (adds ? 2 : 1));
    if (adds) add_to(word.text.substr(0, end), value);
    current_.assignments.push_back({word.text.substr(0, end), std::move(value)});
    return true;
  }

  // NAME+=value: what the variable holds comes before it.
  void add_to(const std::string& name, ShellWord& value) {
    const auto known = variables_.find(name);
    if (known == variables_.end() || !known->second) {
      value.unresolved.push_back('$' + name);
      return;
    }
    const std::string added = std::exchange(value.text, "");
    expand(value, *known->second);
    append(value, added);
  }

  // What a command gives a value that the text does not say: loops, reads, and assignments behind
  // words such as `then`, which may or may not be run. From here on it is not known.
  void forget_rebound() {
    const std::vector<ShellWord>& words = current_.words;
    std::size_t at = 0;
    for (; at < words.size(); ++at) {
      const std::string& text = words[at].text;
      if (const std::size_t name = assigned_name(text); name > 0) {
        variables_[text.substr(0, name)] = std::nullopt;
      } else if (!text.starts_with('-') &&
                 !is_one_of(text, {"if", "then", "elif", "else", "while", "until", "do", "!", "{",
                                   "time", "export", "local", "declare", "typeset", "readonly"})) {
        break;
      }
    }
    if (at == words.size()) return;
    const std::string& program = words[at].text;
    const bool loop = is_one_of(program, {"for", "select"});
    if (!loop && !is_one_of(program, {"read", "mapfile", "readarray", "getopts", "unset"})) return;
    const std::size_t end = loop ? std::min(at + 2, words.size()) : words.size();
    for (++at; at < end; ++at) {
      if (std::ranges::all_of(words[at].text, is_name)) variables_[words[at].text] = std::nullopt;
    }
  }

  void end_command() {
    if (exports()) current_.words.clear();
    forget_rebound();
    // Only an assignment to the shell itself is seen by later commands.
    if (current_.words.empty()) {
      for (const ShellAssignment& a : current_.assignments) {
        variables_[a.name] =
            a.value.unresolved.empty() ? std::optional(a.value.text) : std::nullopt;
      }
    }
    if (!current_.words.empty() || !current_.assignments.empty()) {
      commands_.push_back(std::move(current_));
    }
    in_list_ = false;
    current_ = {};
  }

  ShellWord read_word() {
    ShellWord word;
    word.place = place();
    while (!at_end()) {
      if (skip_continuation()) continue;
      const char c = peek();
      if (c == '\'') {
        single_quotes(word);
      } else if (c == '"') {
        double_quotes(word);
      } else if (c == '\\') {
        take();
        if (!at_end()) word.text += take();
      } else if (c == '$' || c == '`') {
        variable(word);
      } else if (std::string_view(" \t\r\n;|&()<>").find(c) != std::string_view::npos) {
        break;
      } else {
        word.text += take();
      }
    }
    return word;
  }

  void single_quotes(ShellWord& word) {
    const Place start = place();
    take();
    while (peek() != '\'') {
      if (at_end()) throw InputError(start, "expected a closing ' for the quote that starts here");
      word.text += take();
    }
    take();
  }

  void double_quotes(ShellWord& word) {
    const Place start = place();
    take();
    while (peek() != '"') {
      if (at_end()) throw InputError(start, "expected a closing \" for the quote that starts here");
      if (skip_continuation()) continue;
      if (peek() == '$' || peek() == '`') {
        variable(word);
        continue;
      }
      if (peek() == '\\' && std::string_view("$`\"\\").find(peek(1)) != std::string_view::npos) {
        take();
      }
      word.text += take();
    }
    take();
  }

  // What stands at a '$' or '`': replaced where its value is known, else kept as written.
  void variable(ShellWord& word) {
    const std::size_t begin = at_;
    const char first = take();
    if (first == '`') return substitution(word, begin, '`', '`');
    if (peek() == '(') return substitution(word, begin, '(', ')');
    std::string name, fallback;
    bool has_fallback = false;
    if (peek() == '{') {
      const Place start = place();
      take();
      while (is_name(peek())) name += take();
      while (peek() != '}') {
        if (at_end()) throw InputError(start, "expected a closing } for the { that starts here");
        fallback += take();
      }
      take();
      has_fallback = fallback.starts_with(":-") || fallback.starts_with("-");
      if (has_fallback) fallback.erase(0, fallback.find('-') + 1);
      if (!has_fallback && !fallback.empty()) name.clear();  // ${A[@]}, ${A%x}: not ours to do
    } else {
      while (is_name(peek())) name += take();
      if (name.empty()) {  // a lone dollar sign
        word.text += first;
        return;
      }
    }
    const auto known = variables_.find(name);
    const bool set = known != variables_.end();
    if (set && known->second) {
      expand(word, *known->second);
    } else if (!set && has_fallback && fallback.find('$') == std::string::npos) {
      append(word, fallback);
    } else {
      keep(word, begin);
    }
  }

  void substitution(ShellWord& word, std::size_t begin, char open, char close) {
    const Place start = place();
    int depth = open == close ? 1 : 0;
    do {
      if (at_end()) throw InputError(start, std::string("expected a closing ") + close);
      const char c = take();
      if (c == open && open != close) ++depth;
      if (c == close) --depth;
    } while (depth > 0);
    keep(word, begin);
  }

  void keep(ShellWord& word, std::size_t begin) {
    const std::string written(text_.substr(begin, at_ - begin));
    append(word, written);
    word.unresolved.push_back(written);
  }

  // Every text that a word grows by beside single characters.
  void append(ShellWord& word, std::string_view text) const {
    if (word.text.size() + text.size() > kWordMax) {
      throw InputError(word.place,
                       "expected a word of at most 1 MiB with its variables replaced, got " +
                           std::to_string(word.text.size() + text.size()) + " bytes or more");
    }
    word.text += text;
  }

  void expand(ShellWord& word, const std::string& value) {
    append(word, value);
    expanded_ += value.size();
    if (expanded_ > kExpandedMax) {
      throw InputError(word.place,
                       "expected variables whose values take at most 64 MiB where they are used");
    }
  }

  std::string_view text_;
  std::string file_;
  std::size_t expanded_ = 0;
  std::size_t at_ = 0;
  std::int64_t line_ = 1, column_ = 1;
  bool in_list_ = false;  // between the brackets of NAME=(...), where a line's end is a space
  ShellCommand current_;
  std::vector<ShellCommand> commands_;
  std::vector<std::string> here_ends_;
  // Values that the text gives; empty: it sets the variable to something that it does not say.
  std::map<std::string, std::optional<std::string>> variables_;
};

}  // namespace

std::vector<ShellCommand> read_shell(std::string_view text, const std::string& file) {
  return ShellReader(text, file).read();
}

}  // namespace v4cap
