#include "sim/config/profile_file.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "sim/config/data_files.h"
#include "tests/temp_dir.h"

namespace v4cap {
namespace {

const std::string kYaml = R"(name: toy
gpu: B200
engine: sglang
engine_version: 0.5.14
device: NVIDIA B200
driver: not recorded
clocks: not recorded
date: 2026-08-21
source: made up
licence: none
families:
  - name: attention
    grain: module
    engine: sglang
    engine_version: 0.5.14
    kernel_source: flashmla
    unit: us
    keys: [model, tp]
    axes:
      - {name: batch, unit: rows, interpolation: log}
      - {name: past, unit: tokens, interpolation: linear, monotone: true}
    covers: [attention]
    marks: [l2_warm]
    rows: 6
    held_out: {median_pct: 1.5, p90_pct: 4, worst_pct: 9, samples: 3}
    refused_rows: {zero_time: 2}
  - name: all_reduce
    grain: operator
    engine: sglang
    engine_version: 0.5.14
    kernel_source: custom
    unit: us
    axes:
      - {name: bytes, unit: bytes, interpolation: log}
    rows: 2
    held_out: {median_pct: 0, p90_pct: 0, worst_pct: 0, samples: 0}
host:
  eager_layer: 21.5 us
  eager_step: 130 us
  graph_step: 42 us
  graph_sizes: 1-8:1 16-64:8
)";

const std::string kCsv =
    R"(v4cap_profile=1,name=toy,engine=sglang,engine_version=0.5.14,series=3,samples=7
family=attention,model=pro,tp=8,samples=4
1,1,79.3
,1024,81.2
4,1,80.1
,1024,79
family=attention,model=pro,tp=1,samples=1
1,1,120
family=all_reduce,samples=2
4096,5.1
8192,6
)";

Profile loaded(const std::string& yaml, const std::string& csv) {
  const TempDir dir;
  dir.write("profiles/toy.yaml", yaml);
  dir.write("profiles/toy.csv", csv);
  return load_profile("toy", dir.path());
}

// The message, with the temporary folder left out of its places.
std::string error_of(const std::string& yaml, const std::string& csv) {
  const TempDir dir;
  dir.write("profiles/toy.yaml", yaml);
  dir.write("profiles/toy.csv", csv);
  try {
    load_profile("toy", dir.path());
  } catch (const InputError& e) {
    std::string text = e.what();
    const std::string folder = dir / "profiles/";
    for (std::size_t at = 0; (at = text.find(folder, at)) != std::string::npos;) {
      text.erase(at, folder.size());
    }
    return text;
  }
  return "accepted";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a profile gives its families, series and times") {
  const Profile p = loaded(kYaml, kCsv);
  CHECK(p.gpu == "B200");
  CHECK(p.families.size() == 2);
  const ProfileFamily* attention = p.find("attention");
  REQUIRE(attention != nullptr);
  CHECK(attention->has_mark("l2_warm"));
  CHECK(attention->held_out.p90_pct == 4);
  CHECK(attention->refused_rows.at("zero_time") == 2);
  CHECK(attention->raised.samples == 1);
  const ProfileSeries* tp8 = attention->find({{"tp", "8"}, {"model", "pro"}});
  REQUIRE(tp8 != nullptr);
  CHECK(tp8->grid.at(std::vector<double>{4, 1024}).us == 80.1);
  CHECK(tp8->grid.at(std::vector<double>{1, 1024}).us == 81.2);
  CHECK(attention->find({{"tp", "4"}, {"model", "pro"}}) == nullptr);
  CHECK(attention->find({{"tp", "8"}}) == nullptr);
  CHECK(attention->find({{"tp", "8"}, {"modle", "pro"}}) == nullptr);
  CHECK(p.find("attention_decode") == nullptr);
  REQUIRE(p.host.has_value());
  CHECK(p.host->eager_layer == Duration{21'500});
  CHECK(p.host->eager_step == Duration{130'000});
  CHECK(p.host->graph_step == Duration{42'000});
  CHECK(p.host->graph_sizes == std::vector<GraphSizes>{{1, 8, 1}, {16, 64, 8}});
  CHECK(p.host->graph_max_batch == 64);
  CHECK_FALSE(p.host->overlapped);
  CHECK_FALSE(loaded(kYaml.substr(0, kYaml.find("host:")), kCsv).host.has_value());
}

TEST_CASE("numbers of a table of samples are the nearest doubles, however they are written") {
  const auto us_of = [](const std::string& text) {
    const Profile p = loaded(kYaml, replaced(kCsv, "4096,5.1", "4096," + text));
    return p.find("all_reduce")->series.front().grid.at(std::vector<double>{4096}).us;
  };
  for (const char* text : {"5.1",
                           "0.1",
                           "3",
                           "120.0",
                           "98.16",
                           "0.000000000001",
                           "9007199.254741",
                           "99999999999999",
                           "1.2345678901234",
                           "4.35",
                           "2.675",
                           "1.005",
                           ".5",
                           "5.",
                           "00.25",
                           "1e3",
                           "2.5E-3",
                           "0.30000000000000004",
                           "123456789.12345678",
                           "1.7976931348623157"}) {
    CAPTURE(text);
    CHECK(us_of(text) == std::strtod(text, nullptr));
  }
  for (const char* text :
       {".", "1.2.3", "-1", "+1", "1,", "0x10", "inf", "nan", "1e400", "", "1 "}) {
    CAPTURE(text);
    CHECK(error_of(kYaml, replaced(kCsv, "4096,5.1", std::string("4096,") + text)) != "accepted");
  }
}

struct Broken {
  bool in_csv;
  std::string from, to, message;
};

TEST_CASE("a malformed profile is refused with place, what was expected and what was found") {
  const std::vector<Broken> table = {
      {true, "v4cap_profile=1", "v4cap_profile=2",
       "toy.csv:1:1: v4cap_profile: expected format 1, got \"2\""},
      {true, "v4cap_profile=1", "# samples",
       "toy.csv:1:1: expected v4cap_profile=..., got \"# samples\""},
      {true, "name=toy", "name=toi",
       "toy.csv:1:17: name: expected \"toy\", as in toy.yaml, got \"toi\""},
      {true, "engine_version=0.5.14", "engine_version=0.5.13",
       "toy.csv:1:40: engine_version: expected \"0.5.14\", as in toy.yaml, got \"0.5.13\""},
      {true, ",samples=7", "", "toy.csv:1:1: expected 6 fields in the header, got 5"},
      {true, "samples=7", "samples=many",
       "toy.csv:1:71: samples: expected a whole number of at least 1, got \"many\""},
      {true, "samples=7", "samples=8",
       "toy.csv:11: expected 3 series and 8 samples, as the header says, got 3 and 7"},
      {true, "8192,6\n", "",
       "toy.csv:10: family all_reduce: expected 2 samples before this line, got 1"},
      {true, "4096,5.1\n8192,6\n", "40",
       "toy.csv:10:1: expected 2 fields (a value for each axis, then us), got 1"},
      {true, "family=all_reduce,samples=2\n4096,5.1\n8192,6\n", "",
       "toy.csv:8: expected 3 series and 7 samples, as the header says, got 2 and 5"},
      {true, "family=all_reduce", "family=all_reduces",
       "toy.csv:9:1: family: \"all_reduces\" is not in toy.yaml; did you mean 'all_reduce'?"},
      {true, "model=pro,tp=8", "tp=8,model=pro", "toy.csv:2:18: expected model=..., got \"tp=8\""},
      {true, "model=pro,tp=8", "model=pro,heads=8",
       "toy.csv:2:28: expected tp=..., got \"heads=8\""},
      {true, "model=pro,tp=8", "model=pro",
       "toy.csv:2:1: expected family, model, tp and samples, got 3 fields"},
      {true, "tp=1", "tp=8",
       "toy.csv:7:1: family: these keys of \"attention\" have had their samples already"},
      {true, "family=attention,model=pro,tp=8,samples=4\n", "",
       "toy.csv:2:1: expected a line 'family=...' before the first sample"},
      {true, "79.3", "0", "toy.csv:3:5: us: expected a time above 0, got \"0\""},
      {true, "79.3", "-79.3", "toy.csv:3:5: us: expected a time above 0, got \"-79.3\""},
      {true, "79.3", "nan", "toy.csv:3:5: us: expected a number, got \"nan\""},
      {true, "79.3", "1e999", "toy.csv:3:5: us: expected a number, got \"1e999\""},
      {true, "79.3", "79.3us", "toy.csv:3:5: us: expected a number, got \"79.3us\""},
      {true, "79.3", "", "toy.csv:3:5: us: expected a number, got \"\""},
      {true, "1,1,79.3", "0,1,79.3",
       "toy.csv:3:1: batch: expected a value above 0, as the axis is logarithmic, got \"0\""},
      {true, "1,1,79.3", "1,-1,79.3",
       "toy.csv:3:3: past: expected a value of at least 0, got \"-1\""},
      {true, "1,1,79.3", ",1,79.3", "toy.csv:3:1: batch: expected a number, got \"\""},
      {true, ",1024,81.2", ",1,81.2", "toy.csv:4:1: this point has had its sample already"},
      {true, "4,1,80.1", "0.5,1,80.1",
       "toy.csv:5:1: batch: expected ascending values, got 0.5 after 1"},
      {true, ",1024,79\n", ",0,79\n",
       "toy.csv:6:2: past: expected ascending values, got 0 after 1"},
      {true, ",1024,81.2", ",1024,81.2,3",
       "toy.csv:4:1: expected 3 fields (a value for each axis, then us), got 4"},
      {false, "name: toy", "name: toi",
       "toy.yaml:1:7: name: expected the name of the file, \"toy\", got \"toi\""},
      {false, "unit: us", "unit: ms",
       "toy.yaml:17:11: families[0].unit: expected one of its names, got \"ms\"; did you mean "
       "'us'?"},
      {false, "unit: rows", "unit: row",
       "toy.yaml:20:29: families[0].axes[0].unit: expected one of its names, got \"row\"; did you "
       "mean 'rows'?"},
      {false, "interpolation: log", "interpolation: lgo",
       "toy.yaml:20:50: families[0].axes[0].interpolation: expected one of its names, got \"lgo\"; "
       "did you mean "
       "'log'?"},
      {false, "grain: module", "grain: layer",
       "toy.yaml:13:12: families[0].grain: expected one of its names, got \"layer\"; one of: "
       "operator, module"},
      {false, "kernel_source: flashmla", "kernel: flashmla",
       "toy.yaml:16:5: unknown key 'kernel' in 'families[0]'; one of: name, grain"},
      {false, "    rows: 6", "    row: 6",
       "toy.yaml:24:5: unknown key 'row' in 'families[0]'; did you mean 'rows'?"},
      {false, "median_pct: 1.5", "median_pct: -1",
       "toy.yaml:25:28: families[0].held_out.median_pct: expected"},
      {false, "zero_time: 2", "zero_time: 0",
       "toy.yaml:26:31: families[0].refused_rows.zero_time: expected"},
      {false, "clocks: not recorded\n", "clock: not recorded\n",
       "toy.yaml:1:1: clocks: expected a value, the key is missing"},
      {false, "name: all_reduce", "name: attention",
       "toy.yaml:27:5: families: \"attention\" is there twice"},
      {false, "name: all_reduce", "name: all_gather",
       "toy.csv:9:1: family: \"all_reduce\" is not in toy.yaml; one of: attention, all_gather"},
      {false, "eager_layer: 21.5 us", "eager_layer: 21.5",
       "toy.yaml:38:16: host.eager_layer: expected a time with its unit"},
      {false, "eager_step: 130 us", "eager_step: -130 us",
       "toy.yaml:39:15: host.eager_step: expected a time with its unit"},
      {false, "  graph_step: 42 us\n", "",
       "toy.yaml:38:3: host.graph_step: expected a value, the key is missing"},
      {false, "eager_step:", "eager_steps:",
       "toy.yaml:39:3: unknown key 'eager_steps' in 'host'; did you mean 'eager_step'?"},
      {false, "1-8:1 16-64:8", "all",
       "toy.yaml:41:16: host.graph_sizes: expected ascending ranges first-last:step such as 1-8:1 "
       "10-32:2, got \"all\""},
      {false, "1-8:1 16-64:8", "1-8:1 8-64:8",
       "toy.yaml:41:16: host.graph_sizes: expected ascending ranges"},
  };
  for (const Broken& b : table) {
    CAPTURE(b.from);
    CAPTURE(b.to);
    const std::string got = error_of(b.in_csv ? kYaml : replaced(kYaml, b.from, b.to),
                                     b.in_csv ? replaced(kCsv, b.from, b.to) : kCsv);
    CAPTURE(got);
    CHECK(got.find(b.message) != std::string::npos);
  }
}

TEST_CASE("a family without samples, a missing table and an unknown name are refused") {
  const std::string one = "series=2,samples=5";
  std::string csv = replaced(kCsv, "family=all_reduce,samples=2\n4096,5.1\n8192,6\n", "");
  csv = replaced(csv, "series=3,samples=7", one);
  CHECK(error_of(kYaml, csv) ==
        "toy.csv: family: expected samples of \"all_reduce\", which toy.yaml describes, got none");
  const std::string no_families = kYaml.substr(0, kYaml.find("families:")) + "families: []\n";
  CHECK(error_of(no_families, kCsv)
            .find("toy.yaml:11:11: families: expected a list with at least "
                  "one entry, got") == 0);
  const TempDir dir;
  dir.write("profiles/toy.yaml", kYaml);
  CHECK_THROWS_WITH_AS(load_profile("toy", dir.path()), doctest::Contains("toy.csv: "), InputError);
  CHECK_THROWS_WITH_AS(load_profile("tooy", dir.path()), doctest::Contains("did you mean 'toy'?"),
                       InputError);
}

}  // namespace
}  // namespace v4cap
