// The files of sim/report/web and the chart libraries, put into the program by embed_web.cmake.
#pragma once

#include <string_view>

namespace v4cap {

struct WebFile {
  std::string_view text;
  std::string_view sha256;  // hexadecimal
};

extern const WebFile kReportStyle;    // web/*.css behind charts/charts.min.css
extern const WebFile kReportCharts;   // charts/charts.min.js
extern const WebFile kReportScripts;  // web/*.js, in the order of sim/CMakeLists.txt

}  // namespace v4cap
