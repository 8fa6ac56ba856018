// A plain text table: first column to the left, the others to the right, columns two spaces apart.
// Rows may be grouped under headings. Widths are terminal columns, so wide characters and combining
// marks line up.
#pragma once

#include <string>
#include <vector>

namespace v4cap {

// Colours are asked for by what they mean. Off when `color` is false.
struct TextStyle {
  bool color = false;
  std::string heading(const std::string& text) const;  // bold
  std::string dim(const std::string& text) const;
};

// Colours go to a terminal only, and not where NO_COLOR (no-color.org: set and not empty) or the
// option forbids them. `no_color_environment` is getenv("NO_COLOR"), which may be null.
TextStyle text_style(bool is_terminal, bool no_color_option, const char* no_color_environment);

class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  void group(std::string title);
  // As many cells as the header has. Cells are made printable.
  void row(std::vector<std::string> cells);
  std::string text(const TextStyle& style) const;

 private:
  struct Line {
    bool is_group;
    std::vector<std::string> cells;
  };
  std::vector<std::size_t> widths() const;

  std::vector<std::string> header_;
  std::vector<Line> lines_;
};

// Breaks text at spaces so that no line is wider than `columns`, words that are wider excepted.
std::string wrapped(const std::string& text, std::size_t columns);

}  // namespace v4cap
