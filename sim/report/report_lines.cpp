#include "sim/report/report_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/core/units.h"
#include "sim/output/humanise.h"
#include "sim/output/text_width.h"

namespace v4cap {

namespace {

constexpr std::size_t kLineCells = 48, kChartColumns = 60, kChartRows = 14, kLabelColumns = 28;

std::string padded(const std::string& text, std::size_t columns) {
  std::string shown = printable(text);
  while (display_width(shown) > columns && !shown.empty()) shown.pop_back();
  shown = valid_utf8(shown);
  return shown + std::string(columns - std::min(columns, display_width(shown)), ' ');
}

// Bytes of one GPU in use and cached, of each sample.
std::vector<double> occupied_bytes(const ColumnSet& timeline) {
  std::vector<double> bytes(static_cast<std::size_t>(timeline.kept), 0);
  for (const ColumnSet::Column& column : timeline.columns) {
    if (!column.name.ends_with("_bytes")) continue;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] += column.figures[i];
    }
  }
  return bytes;
}

std::string occupancy_line(const ReportRun& run) {
  static constexpr const char* kLevels[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::vector<double> bytes = occupied_bytes(run.timeline);
  const std::vector<double>* const time = run.timeline.find("time_s");
  if (bytes.empty() || time == nullptr) return "";
  const double begin = time->front(), end = time->back();
  // The largest sample of each cell; a cell without one goes on as the last was.
  std::vector<double> cells(kLineCells, -1);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const double at = end > begin ? ((*time)[i] - begin) / (end - begin) : 0;
    const auto cell = std::min(kLineCells - 1, static_cast<std::size_t>(at * kLineCells));
    cells[cell] = std::max(cells[cell], bytes[i]);
  }
  const double peak = *std::ranges::max_element(bytes);
  const double capacity = std::max(peak, run.kv_capacity_gib * static_cast<double>(1 << 30));
  std::string line;
  double last = 0;
  for (const double cell : cells) {
    if (cell >= 0) last = cell;
    const double level = capacity > 0 ? last / capacity * 8 : 0;
    line += kLevels[static_cast<std::size_t>(std::clamp(std::ceil(level), 0.0, 8.0))];
  }
  const auto gib = [](double b) { return b / static_cast<double>(1 << 30); };
  return fmt::format("  {}  {}  peak {} of {} GiB\n", padded(run.label, kLabelColumns), line,
                     grouped(gib(peak), decimals_for(gib(peak))),
                     grouped(gib(capacity), decimals_for(gib(capacity))));
}

const DataColumn* figure_column(const DataTable& table, const char* outer, const char* inner) {
  const std::string name(outer);
  for (const char* const separator : {".", "_"}) {
    const DataColumn* const column = table.find(name + separator + inner);
    if (column != nullptr && column->is_number) return column;
  }
  return nullptr;
}

std::string field(const DataColumn& column, std::size_t row) {
  return column.is_number ? fmt::format("{}", column.numbers[row]) : column.texts[row];
}

// Places of axes that have more than one value.
std::vector<std::size_t> varied_axes(const DataTable& table) {
  std::vector<std::size_t> axes;
  for (const std::size_t place : axes_of(table)) {
    const DataColumn& column = table.columns[place];
    std::size_t row = 1;
    const auto rows = static_cast<std::size_t>(table.rows);
    while (row < rows && field(column, row) == field(column, 0)) ++row;
    if (row < rows) axes.push_back(place);
  }
  return axes;
}

void add_points(const ReportSweep& sweep, std::vector<ParetoPoint>& points) {
  const DataTable& table = sweep.table;
  const DataColumn* const tpot = figure_column(table, "tpot_ms", "p50");
  const DataColumn* const output = figure_column(table, "tok_s_per_gpu", "output");
  const DataColumn* const saturated = table.find("saturated");
  if (tpot == nullptr || output == nullptr) return;
  const std::vector<std::size_t> axes = varied_axes(table);
  for (std::size_t row = 0; row < static_cast<std::size_t>(table.rows); ++row) {
    const double ms = tpot->numbers[row], yield = output->numbers[row];
    if (!(ms > 0) || !std::isfinite(yield)) continue;
    std::string label;
    for (const std::size_t axis : axes) {
      label += (label.empty() ? "" : ", ") + short_axis_name(table, axis) + '=' +
               field(table.columns[axis], row);
    }
    const bool is_saturated =
        saturated != nullptr && saturated->is_number && saturated->numbers[row] == 1;
    points.push_back({std::move(label), 1e3 / ms, yield, !is_saturated});
  }
}

}  // namespace

std::vector<std::size_t> pareto_front(const std::vector<ParetoPoint>& points) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points[i].steady) order.push_back(i);
  }
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (points[a].interactivity != points[b].interactivity) {
      return points[a].interactivity > points[b].interactivity;
    }
    return points[a].throughput > points[b].throughput;
  });
  std::vector<std::size_t> front;
  for (const std::size_t i : order) {
    if (front.empty() || points[i].throughput > points[front.back()].throughput) front.push_back(i);
  }
  std::ranges::reverse(front);
  return front;
}

std::vector<ParetoPoint> pareto_points(const Report& report) {
  std::vector<ParetoPoint> points;
  for (const ReportRun& run : report.runs) {
    if (!run.tpot_p50_ms || *run.tpot_p50_ms <= 0 || !run.output_tok_s_per_gpu) continue;
    points.push_back(
        {run.label, 1e3 / *run.tpot_p50_ms, *run.output_tok_s_per_gpu, run.steady.holds});
  }
  if (!report.runs.empty()) return points;
  for (const ReportSweep& sweep : report.sweeps) add_points(sweep, points);
  return points;
}

std::string occupancy_lines(const std::vector<ReportRun>& runs) {
  std::string lines;
  for (const ReportRun& run : runs) lines += occupancy_line(run);
  if (lines.empty()) return "";
  const bool several = std::ranges::any_of(
      runs, [](const ReportRun& run) { return run.replicas.kept > 0 || run.ranks.kept > 0; });
  return fmt::format("KV memory of one GPU over the run{}\n",
                     several ? ", summed over replicas and attention ranks" : "") +
         lines;
}

std::string pareto_chart(const std::vector<ParetoPoint>& points) {
  if (points.size() < 2) return "";
  double x_max = 0, y_max = 0;
  for (const ParetoPoint& point : points) {
    x_max = std::max(x_max, point.interactivity);
    y_max = std::max(y_max, point.throughput);
  }
  if (!(x_max > 0) || !(y_max > 0)) return "";
  std::vector<std::string> cells(kChartRows, std::string(kChartColumns, ' '));
  const auto mark = [&](const ParetoPoint& point, char c) {
    const auto place = [](double share, std::size_t cells_of_axis) {
      return std::min(cells_of_axis - 1,
                      static_cast<std::size_t>(share * static_cast<double>(cells_of_axis)));
    };
    const std::size_t row =
        kChartRows - 1 - place(std::max(0.0, point.throughput / y_max), kChartRows);
    cells[row][place(std::max(0.0, point.interactivity / x_max), kChartColumns)] = c;
  };
  for (const ParetoPoint& point : points) mark(point, point.steady ? '.' : 'x');
  const std::vector<std::size_t> front = pareto_front(points);
  const auto letter = [](std::size_t i) { return static_cast<char>('a' + static_cast<char>(i)); };
  constexpr std::size_t kNamed = 26;
  std::string names;
  for (std::size_t i = 0; i < std::min(front.size(), kNamed); ++i) {
    const ParetoPoint& point = points[front[i]];
    mark(point, letter(i));
    names += printable(fmt::format("  {}  {}: {} tok/s per user, {} tok/s per GPU", letter(i),
                                   point.label, grouped(point.interactivity, 1),
                                   grouped(point.throughput, 1))) +
             '\n';
  }
  std::string text = "Output tok/s of one GPU against tok/s of one user (1000 / TPOT p50)\n";
  for (std::size_t row = 0; row < kChartRows; ++row) {
    text +=
        fmt::format("{:>9} |{}\n", row == 0 ? grouped(y_max, decimals_for(y_max)) : "", cells[row]);
  }
  text += fmt::format("{:>9} +{}\n", "0", std::string(kChartColumns, '-'));
  const std::string right = grouped(x_max, decimals_for(x_max));
  text += fmt::format("{:>10} 0{:>{}}\n", "", right, kChartColumns - 1);
  if (front.size() > kNamed) names += fmt::format("  and {} more\n", front.size() - kNamed);
  const bool any_unsteady = std::ranges::any_of(points, [](const auto& p) { return !p.steady; });
  return text + names + (any_unsteady ? "  x  no steady state\n" : "");
}

}  // namespace v4cap
