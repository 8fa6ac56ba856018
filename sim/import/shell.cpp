#include "sim/import/shell.h"

#include <algorithm>
#include <map>

namespace v4cap {

namespace {

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
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
    std::size_t end = 0;
    while (end < word.text.size() && is_name(word.text[end])) ++end;
    const bool adds = word.text.compare(end, 2, "+=") == 0;
    if (end == 0 || !is_name_start(word.text[0]) ||
        (!adds && (end == word.text.size() || word.text[end] != '='))) {
      return false;
    }
    if (peek() == '(') {
      take();
      end_command();
      in_list_ = true;
      return true;
    }
    ShellWord value = word;
    value.text = word.text.substr(end + (adds ? 2 : 1));
    value.place.column += static_cast<std::int64_t>(end + 1);
    current_.assignments.push_back({word.text.substr(0, end), std::move(value)});
    return true;
  }

  void end_command() {
    if (exports()) current_.words.clear();
    // Only an assignment to the shell itself is seen by later commands.
    if (current_.words.empty()) {
      for (const ShellAssignment& a : current_.assignments) {
        if (a.value.unresolved.empty()) variables_[a.name] = a.value.text;
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
    if (known != variables_.end()) {
      word.text += known->second;
    } else if (has_fallback && fallback.find('$') == std::string::npos) {
      word.text += fallback;
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
    word.text += written;
    word.unresolved.push_back(written);
  }

  std::string_view text_;
  std::string file_;
  std::size_t at_ = 0;
  std::int64_t line_ = 1, column_ = 1;
  bool in_list_ = false;  // between the brackets of NAME=(...), where a line's end is a space
  ShellCommand current_;
  std::vector<ShellCommand> commands_;
  std::vector<std::string> here_ends_;
  std::map<std::string, std::string> variables_;
};

}  // namespace

std::vector<ShellCommand> read_shell(std::string_view text, const std::string& file) {
  return ShellReader(text, file).read();
}

}  // namespace v4cap
