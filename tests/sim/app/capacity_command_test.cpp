#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "sim/app/command.h"

namespace v4cap {
namespace {

struct Output {
  ExitCode code;
  std::string out, err;
};

Output run(std::vector<std::string> arguments) {
  std::ostringstream out, err;
  arguments.insert(arguments.begin(), {"capacity", V4CAP_SOURCE_DIR "/scenarios/quickstart.yaml"});
  const ExitCode code = run_program(arguments, out, err, false, false);
  return {code, out.str(), err.str()};
}

double number(const boost::json::value& v) {
  return v.to_number<double>();
}

TEST_CASE("capacity --json holds what the contract promises") {
  const Output o = run({"--json"});
  CAPTURE(o.err);
  REQUIRE(o.code == ExitCode::done);
  const boost::json::value doc = boost::json::parse(o.out);
  CHECK(doc.at("policy").as_string() == "full");
  CHECK(doc.at("layout").as_string() == "ideal");
  CHECK(number(doc.at("bytes_per_token")) == doctest::Approx(41135).epsilon(1e-4));
  CHECK(number(doc.at("kv_gib_per_gpu")) == doctest::Approx(44.8).epsilon(0.005));
  CHECK(number(doc.at("kv_tokens")) == doctest::Approx(1.17e6).epsilon(0.01));
  double per_token = 0, per_request = 0;
  for (const auto& kind : doc.at("kinds").as_array()) {
    per_token += number(kind.at("bytes_per_token"));
    per_request += number(kind.at("bytes_per_request"));
  }
  CHECK(per_token == doctest::Approx(number(doc.at("bytes_per_token"))));
  CHECK(per_request == number(doc.at("bytes_per_request")));
  REQUIRE(doc.at("policies").as_array().size() == 3);
  CHECK(doc.at("policies").at(0).at("policy").as_string() == "full");
  CHECK(doc.at("policies").at(2).at("policy").as_string() == "recompute");
  CHECK(number(doc.at("policies").at(2).at("bytes_per_token")) ==
        doctest::Approx(5511).epsilon(1e-3));
}

TEST_CASE("capacity prints tables for people") {
  const Output o = run({"--compare", "recompute"});
  CAPTURE(o.out);
  CHECK(o.code == ExitCode::done);
  CHECK(o.out.find("deepseek-v4-pro on hgx-b200, tensor_parallel 8") != std::string::npos);
  CHECK(o.out.find("44.8 GiB for the KV cache") != std::string::npos);
  CHECK(o.out.find("41,135") != std::string::npos);
  CHECK(o.out.find("checkpoint") == std::string::npos);
}

TEST_CASE("data parallel replicas hold more of the node's memory for themselves") {
  const auto tokens = [](const std::string& width) {
    const Output o = run({"--json", "--set", "model=deepseek-v4-flash", "--set",
                          "deployment.tensor_parallel=" + width});
    CAPTURE(o.err);
    REQUIRE(o.code == ExitCode::done);
    return number(boost::json::parse(o.out).at("kv_tokens_per_node"));
  };
  CHECK(tokens("4") > 1.5 * tokens("8"));
}

TEST_CASE("a model that does not fit ends the command with 1 and says what is missing") {
  const Output o = run({"--set", "hardware=hgx-h100"});
  CHECK(o.code == ExitCode::failed);
  CHECK(o.err.find("GiB are missing") != std::string::npos);
}

TEST_CASE("a wrong policy is refused as input") {
  CHECK(run({"--compare", "checkpoint=77"}).code == ExitCode::bad_input);
  CHECK(run({"--compare", "recomputed"}).code == ExitCode::bad_input);
}

}  // namespace
}  // namespace v4cap
