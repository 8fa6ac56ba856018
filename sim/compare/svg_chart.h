// Panels with axes in one SVG picture, readable on light and on dark ground, without scripts, fonts
// or anything else to fetch. Equal input gives equal bytes.
#pragma once

#include <string>
#include <vector>

namespace v4cap {

struct ChartPoint {
  double x = 0, y = 0;
};

struct ChartSeries {
  enum class Mark { line, dashed_line, dots, rings };
  std::string label{};  // in the panel's legend; "" = not there
  int color = 0;        // 0..4 of the palette; 0 and 1 are A and B
  Mark mark = Mark::line;
  std::vector<ChartPoint> points{};
};

struct ChartPanel {
  std::string title{}, x_label{}, y_label{};
  bool log_x = false;           // needs every x above 0
  double y_min = 0, y_max = 1;  // points beyond are drawn at the edge
  bool zero_line = false;
  bool wide = false;         // half of the picture's width instead of a third
  std::string empty_text{};  // shown when no series has a point
  std::vector<ChartSeries> series{};
};

// Panels from left to right, wide ones below the others. `caption` has a line for each entry.
std::string svg_chart(const std::string& title, const std::vector<std::string>& caption,
                      const std::vector<ChartPanel>& panels);

}  // namespace v4cap
