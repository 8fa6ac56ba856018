// The page as text: what came from files cannot become markup, and nothing from outside is allowed.
#include "sim/report/report_page.h"

#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "sim/report/web_files.h"
#include "tests/sim/report/run_folder.h"

using namespace v4cap;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin) + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

}  // namespace

TEST_CASE("report page: JSON in a script element means the same and has no markup") {
  const std::string json = R"({"a": "</script><!--&\")"
                           "\u2028\u2029"
                           R"(é"})";
  const std::string html = json_for_html(json);
  CHECK(html == "{\"a\": \"\\u003c/script\\u003e\\u003c!--\\u0026\\\"\\u2028\\u2029é\"}");
  CHECK(boost::json::parse(html) == boost::json::parse(json));
}

TEST_CASE("report page: three scripts, one style, and a policy that lets nothing in or out") {
  const TempDir dir;
  const Report report =
      read_report({write_folder(dir, "run", {.scenario = "</script><script>x()</script>"})});
  const std::string page = report_page(report);
  CHECK(count(page, "<script") == 3);
  CHECK(count(page, "</script") == 3);
  CHECK(count(page, "<style") == 1);
  CHECK(count(page, " src=") == 0);
  const std::string policy = between(page, "Content-Security-Policy\" content=\"", "\"");
  CHECK(policy.starts_with("default-src 'none'; script-src 'sha256-"));
  CHECK(count(policy, "'sha256-") == 3);
  CHECK(count(policy, "unsafe") == 0);
  CHECK(count(policy, "http") == 0);
  const boost::json::value data = boost::json::parse(
      between(page, "<script type=\"application/json\" id=\"data\">", "</script"));
  CHECK(data.at("runs").at(0).at("label").as_string() == "</script><script>x()</script>");
  CHECK(page == report_page(report));
}

TEST_CASE("report page: our own scripts make no markup of texts and ask for nothing") {
  const std::string code(kReportScripts.text);
  for (const char* const forbidden :
       {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
        "fetch(", "XMLHttpRequest", "WebSocket", "http:", "https:"}) {
    CAPTURE(forbidden);
    CHECK(count(code, forbidden) == 0);
  }
  CHECK(kReportScripts.sha256.size() == 64);
}
