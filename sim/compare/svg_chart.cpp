#include "sim/compare/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sim/output/humanise.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr double kWidth = 1020, kMargin = 16, kGap = 18, kPanelHeight = 268;
constexpr double kLeft = 52, kRight = 10, kTop = 30, kBottom = 44;  // around a panel's plot
constexpr double kTextLine = 18;

// Okabe and Ito's colours, told apart by the colour-blind, dark enough for light ground; their
// lighter sisters for dark ground.
constexpr const char* kStyle =
    "<style>\n"
    ".ground{fill:#ffffff}.text{fill:#1f2328}.dim{fill:#59636e}\n"
    ".axis{stroke:#8c959f}.grid{stroke:#e2e6ea}.zero{stroke:#59636e}\n"
    ".s0{stroke:#0072b2}.s1{stroke:#c44e00}.s2{stroke:#007f5c}.s3{stroke:#a3447c}.s4{stroke:#"
    "1f2328}\n"
    ".f0{fill:#0072b2}.f1{fill:#c44e00}.f2{fill:#007f5c}.f3{fill:#a3447c}.f4{fill:#1f2328}\n"
    "@media (prefers-color-scheme: dark){\n"
    ".ground{fill:#15181e}.text{fill:#e6e8eb}.dim{fill:#a3abb5}\n"
    ".axis{stroke:#6e7781}.grid{stroke:#2b3038}.zero{stroke:#a3abb5}\n"
    ".s0{stroke:#58b4f0}.s1{stroke:#f0a04b}.s2{stroke:#3fc79a}.s3{stroke:#e08fc0}.s4{stroke:#"
    "e6e8eb}\n"
    ".f0{fill:#58b4f0}.f1{fill:#f0a04b}.f2{fill:#3fc79a}.f3{fill:#e08fc0}.f4{fill:#e6e8eb}\n"
    "}\n</style>\n";

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// A step of 1, 2 or 5 times a power of ten that cuts `range` into at most `parts`.
double nice_step(double range, int parts) {
  const double rough = range / parts;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

// One direction of a panel: values to pixels.
struct Axis {
  double low = 0, high = 1, begin = 0, end = 1;
  bool log = false;

  double at(double value) const {
    const double bounded = std::clamp(value, low, high);
    const double share =
        log ? std::log(bounded / low) / std::log(high / low) : (bounded - low) / (high - low);
    return begin + (end - begin) * share;
  }

  std::vector<double> ticks(int most) const {
    std::vector<double> all;
    if (!log) {
      const double step = nice_step(high - low, most);
      for (double n = std::ceil(low / step - 1e-9); n * step <= high * (1 + 1e-9); ++n) {
        all.push_back(n * step + 0.0);  // never -0
      }
      return all;
    }
    const double decades = std::log10(high / low);
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        if (factor > 1 && decades > 2.2) break;
        const double tick = factor * power;
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) all.push_back(tick);
      }
    }
    return all;
  }
};

std::string tick_text(double value) {
  constexpr double kThousand = 1000, kMillion = 1e6;
  if (std::abs(value) >= kMillion) return fmt::format("{:g} M", value / kMillion);
  if (std::abs(value) >= kThousand) return fmt::format("{:g} k", value / kThousand);
  return fmt::format("{:.6g}", value);
}

Axis x_axis(const ChartPanel& panel, double begin, double end) {
  double low = 0, high = 0;
  bool any = false;
  for (const ChartSeries& series : panel.series) {
    for (const ChartPoint& point : series.points) {
      low = any ? std::min(low, point.x) : point.x;
      high = any ? std::max(high, point.x) : point.x;
      any = true;
    }
  }
  if (!any) return {.low = 0, .high = 1, .begin = begin, .end = end, .log = false};
  if (panel.log_x) {
    constexpr double kRoom = 1.08;
    return {.low = low / kRoom, .high = high * kRoom, .begin = begin, .end = end, .log = true};
  }
  const double room = high > low ? 0.04 * (high - low) : std::max(1.0, 0.1 * std::abs(high));
  // Times begin at 0, unless all of them are far from it.
  const double bottom = low >= 0 && low < 0.5 * high ? 0 : low - room;
  return {.low = bottom, .high = high + room, .begin = begin, .end = end, .log = false};
}

class Picture {
 public:
  Picture(double width, double height, const std::string& title) {
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
        "width=\"{0:.0f}\" "
        "height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n",
        width, height, escaped(title));
    out_ += kStyle;
    out_ +=
        "<rect class=\"ground\" width=\"100%\" height=\"100%\" rx=\"6\"/>\n"
        "<g font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"12\">\n";
  }

  std::string finish() { return std::move(out_) + "</g>\n</svg>\n"; }

  void text(double x, double y, const std::string& words, const char* more = "",
            const char* css = "text") {
    add("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\"{}>{}</text>\n", css, x, y, more,
        escaped(words));
  }

  void panel(const ChartPanel& panel, double left, double top, double width) {
    const double x0 = left + kLeft, x1 = left + width - kRight;
    const double y0 = top + kPanelHeight - kBottom, y1 = top + kTop;
    text(x0, top + 14, panel.title, " font-weight=\"600\"");
    const bool empty =
        std::ranges::all_of(panel.series, [](const auto& s) { return s.points.empty(); });
    if (empty) {
      text((x0 + x1) / 2, (y0 + y1) / 2, panel.empty_text, " text-anchor=\"middle\"", "dim");
      line("axis", x0, y0, x1, y0);
      return;
    }
    const Axis x = x_axis(panel, x0, x1);
    const Axis y{.low = panel.y_min, .high = panel.y_max, .begin = y0, .end = y1};
    axes(panel, x, y);
    for (const ChartSeries& series : panel.series) draw(series, x, y);
    legend(panel, x1, top + 14);
  }

 private:
  template <class... Parts>
  void add(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Parts>(parts)...);
  }

  void line(const char* css, double x0, double y0, double x1, double y1) {
    add("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", css, x0,
        y0, x1, y1);
  }

  void axes(const ChartPanel& panel, const Axis& x, const Axis& y) {
    for (const double tick : y.ticks(5)) {
      line("grid", x.begin, y.at(tick), x.end, y.at(tick));
      text(x.begin - 6, y.at(tick) + 4, tick_text(tick), " text-anchor=\"end\"", "dim");
    }
    const std::vector<double> ticks = x.ticks(5);
    for (const double tick : ticks) {
      line("grid", x.at(tick), y.begin, x.at(tick), y.end);
      text(x.at(tick), y.begin + 16, tick_text(tick), " text-anchor=\"middle\"", "dim");
    }
    if (panel.zero_line) line("zero", x.begin, y.at(0), x.end, y.at(0));
    line("axis", x.begin, y.begin, x.end, y.begin);
    line("axis", x.begin, y.begin, x.begin, y.end);
    text((x.begin + x.end) / 2, y.begin + 34, panel.x_label, " text-anchor=\"middle\"", "dim");
    const double middle = (y.begin + y.end) / 2, edge = x.begin - 40;
    const std::string turned = fmt::format(
        " text-anchor=\"middle\" transform=\"rotate(-90 {:.1f} {:.1f})\"", edge, middle);
    text(edge, middle, panel.y_label, turned.c_str(), "dim");
  }

  void draw(const ChartSeries& series, const Axis& x, const Axis& y) {
    using Mark = ChartSeries::Mark;
    if (series.mark == Mark::line || series.mark == Mark::dashed_line) {
      add("<polyline class=\"s{}\" fill=\"none\" stroke-width=\"2\" stroke-linejoin=\"round\"{} "
          "points=\"",
          series.color, series.mark == Mark::dashed_line ? " stroke-dasharray=\"6 4\"" : "");
      for (const ChartPoint& p : series.points) add("{:.1f},{:.1f} ", x.at(p.x), y.at(p.y));
      out_ += "\"/>\n";
      return;
    }
    const bool rings = series.mark == Mark::rings;
    if (rings) {
      add("<g class=\"s{}\" fill=\"none\" stroke-width=\"2\">\n", series.color);
    } else {
      add("<g class=\"f{}\" fill-opacity=\"0.45\">\n", series.color);
    }
    for (const ChartPoint& p : series.points) {
      add("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>\n", x.at(p.x), y.at(p.y),
          rings ? "4.5" : "2.2");
    }
    out_ += "</g>\n";
  }

  // At the right end of the title's line. Widths of text are guessed, on the wide side.
  void legend(const ChartPanel& panel, double right, double y) {
    constexpr double kCharacter = 7, kSample = 18, kAfterSample = 5, kAfterLabel = 6;
    const auto width = [&](const ChartSeries& series) {
      if (series.label.empty() || series.points.empty()) return 0.0;
      return kSample + kAfterSample + kAfterLabel +
             kCharacter * static_cast<double>(display_width(series.label));
    };
    double x = right;
    for (const ChartSeries& series : panel.series) x -= width(series);
    for (const ChartSeries& series : panel.series) {
      if (width(series) == 0) continue;
      sample(series, x, x + kSample, y - 4);
      text(x + kSample + kAfterSample, y, series.label, "", "dim");
      x += width(series);
    }
  }

  void sample(const ChartSeries& series, double x0, double x1, double y) {
    using Mark = ChartSeries::Mark;
    if (series.mark == Mark::line || series.mark == Mark::dashed_line) {
      add("<line class=\"s{}\" stroke-width=\"3\"{} x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" "
          "y2=\"{:.1f}\"/>\n",
          series.color, series.mark == Mark::dashed_line ? " stroke-dasharray=\"6 4\"" : "", x0, y,
          x1, y);
      return;
    }
    add("<circle class=\"{}{}\"{} cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n",
        series.mark == Mark::rings ? 's' : 'f', series.color,
        series.mark == Mark::rings ? " fill=\"none\" stroke-width=\"2\"" : "", (x0 + x1) / 2 + 3,
        y);
  }

  std::string out_;
};

}  // namespace

std::string svg_chart(const std::string& title, const std::vector<std::string>& caption,
                      const std::vector<ChartPanel>& panels) {
  const auto wide = std::ranges::count_if(panels, [](const auto& p) { return p.wide; });
  const bool two_rows = wide > 0 && wide < static_cast<std::ptrdiff_t>(panels.size());
  const double head = kMargin + 20 + kTextLine * static_cast<double>(caption.size()) + 10;
  const double height = head + kPanelHeight + (two_rows ? kPanelHeight + kGap : 0) + 6;
  Picture picture(kWidth, height, title);
  picture.text(kMargin, kMargin + 10, title, " font-size=\"15\" font-weight=\"600\"");
  double y = kMargin + 12 + kTextLine;
  for (const std::string& line : caption) {
    picture.text(kMargin, y, line, "", "dim");
    y += kTextLine;
  }
  const double inside = kWidth - 2 * kMargin;
  const double narrow = (inside - 2 * kGap) / 3, half = (inside - kGap) / 2;
  const double top_of_wide = head + (two_rows ? kPanelHeight + kGap : 0);
  double left = kMargin, left_of_wide = kMargin;
  for (const ChartPanel& panel : panels) {
    if (panel.wide) {
      picture.panel(panel, left_of_wide, top_of_wide, half);
      left_of_wide += half + kGap;
    } else {
      picture.panel(panel, left, head, narrow);
      left += narrow + kGap;
    }
  }
  return picture.finish();
}

}  // namespace v4cap
