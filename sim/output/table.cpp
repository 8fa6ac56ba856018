#include "sim/output/table.h"

#include <algorithm>
#include <sstream>

#include "sim/core/error.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr std::string_view kGap = "  ";
constexpr std::string_view kIndent = "  ";  // of rows below a group's title

std::string spaces(std::size_t wanted, std::size_t used) {
  return std::string(wanted > used ? wanted - used : 0, ' ');
}

std::string aligned(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths,
                    std::string_view indent) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = printable(cells[i]);
    const std::size_t width = display_width(cell);
    if (i == 0) {
      line += indent;
      line += cell + spaces(widths[0], width + indent.size());
    } else {
      line += kGap;
      line += spaces(widths[i], width) + cell;
    }
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string colored(const std::string& text, const char* code) {
  return text.empty() ? text : std::string("\x1b[") + code + 'm' + text + "\x1b[0m";
}

}  // namespace

std::string TextStyle::heading(const std::string& text) const {
  return color ? colored(text, "1") : text;
}

std::string TextStyle::dim(const std::string& text) const {
  return color ? colored(text, "2") : text;
}

TextStyle text_style(bool is_terminal, bool no_color_option, const char* no_color_environment) {
  const bool forbidden =
      no_color_option || (no_color_environment != nullptr && *no_color_environment != '\0');
  return {.color = is_terminal && !forbidden};
}

void Table::group(std::string title) {
  lines_.push_back({true, {std::move(title)}});
}

void Table::row(std::vector<std::string> cells) {
  V4CAP_CHECK(cells.size() == header_.size(), "a table row with another number of cells");
  lines_.push_back({false, std::move(cells)});
}

std::vector<std::size_t> Table::widths() const {
  const bool grouped =
      std::any_of(lines_.begin(), lines_.end(), [](const Line& l) { return l.is_group; });
  std::vector<std::size_t> widths(header_.size(), 0);
  const auto grow = [&](std::size_t column, const std::string& cell, std::size_t extra) {
    widths[column] = std::max(widths[column], display_width(printable(cell)) + extra);
  };
  for (std::size_t i = 0; i < header_.size(); ++i) grow(i, header_[i], 0);
  for (const Line& line : lines_) {
    for (std::size_t i = 0; i < line.cells.size(); ++i) {
      grow(i, line.cells[i], i == 0 && grouped && !line.is_group ? kIndent.size() : 0);
    }
  }
  return widths;
}

std::string Table::text(const TextStyle& style) const {
  const std::vector<std::size_t> columns = widths();
  bool in_group = false;
  std::string out = style.heading(aligned(header_, columns, "")) + '\n';
  for (const Line& line : lines_) {
    if (line.is_group) {
      in_group = true;
      out += style.heading(aligned(line.cells, columns, "")) + '\n';
    } else {
      out += aligned(line.cells, columns, in_group ? kIndent : "") + '\n';
    }
  }
  return out;
}

std::string wrapped(const std::string& text, std::size_t columns) {
  std::istringstream words(text);
  std::string out, word;
  std::size_t used = 0;
  while (words >> word) {
    const std::size_t width = display_width(word);
    if (used > 0 && used + 1 + width > columns) {
      out += '\n';
      used = 0;
    }
    if (used > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += width;
  }
  return out;
}

}  // namespace v4cap
