#include "sim/report/report_page.h"

#include <fmt/format.h>

#include "sim/report/packed_column.h"
#include "sim/report/web_files.h"

namespace v4cap {

namespace {

// A source of a content security policy.
std::string hash_source(const WebFile& file) {
  std::string bytes;
  for (std::size_t i = 0; i < file.sha256.size(); i += 2) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    bytes += static_cast<char>(digit(file.sha256[i]) << 4 | digit(file.sha256[i + 1]));
  }
  return "'sha256-" + base64(bytes) + "'";
}

std::string policy() {
  return fmt::format(
      "default-src 'none'; script-src {} {}; style-src {}; img-src data:; base-uri 'none'; "
      "form-action 'none'",
      hash_source(kReportCharts), hash_source(kReportScripts), hash_source(kReportStyle));
}

}  // namespace

std::string json_for_html(std::string_view json) {
  std::string out;
  out.reserve(json.size() + json.size() / 64);
  constexpr std::string_view kLineSeparator = "\u2028", kParagraphSeparator = "\u2029";
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string_view rest = json.substr(i, kLineSeparator.size());
    if (json[i] == '<') {
      out += "\\u003c";
    } else if (json[i] == '>') {
      out += "\\u003e";
    } else if (json[i] == '&') {
      out += "\\u0026";
    } else if (rest == kLineSeparator || rest == kParagraphSeparator) {
      out += rest == kLineSeparator ? "\\u2028" : "\\u2029";
      i += rest.size() - 1;
    } else {
      out += json[i];
    }
  }
  return out;
}

std::string report_page(const Report& report) {
  std::string page =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
      policy() +
      "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"referrer\" content=\"no-referrer\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>v4cap report</title>\n<style>";
  page += kReportStyle.text;
  page +=
      "</style>\n</head>\n<body>\n<noscript>This report draws its charts with the scripts that are "
      "in this file; they are switched off here.</noscript>\n<main id=\"report\"></main>\n"
      "<script type=\"application/json\" id=\"data\">";
  page += json_for_html(report_json(report));
  page += "</script>\n<script>";
  page += kReportCharts.text;
  page += "</script>\n<script>";
  page += kReportScripts.text;
  page += "</script>\n</body>\n</html>\n";
  return page;
}

}  // namespace v4cap
