// Reading a configuration: each read takes a key out of a Section by type, checks it, marks it as
// known and writes its value, default or not, into the resolved text. Errors do not stop the
// reading: they are collected and thrown together at Document::checkpoint().
//
//   Document document(parse_yaml(read_text_file(path), path), path);
//   Section kv = document.root(scenario_keys).child("kv_cache");
//   config.block = kv.optional<Tokens>("block_tokens", Tokens{256}, at_least(Tokens{1}));
//   kv.reject_unknown();
//   document.checkpoint();
//
// After an error about a value its reader gets the default (or a zero) and goes on.
//
// A document whose keys are declared (sim/config/keys.h) is read with no others.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/config/keys.h"
#include "sim/config/value.h"
#include "sim/config/yaml_tree.h"

namespace v4cap {

class Section;

class Document {
 public:
  Document(YamlNode root, std::string file);
  ~Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;

  // The top level, to be read once. Sections must not outlive the document. `keys`: all there are;
  // without them any key may be read. `path`: of an entry of a list in another document, which has no
  // sections: what messages call it ("cluster.faults[0]").
  Section root(SectionKeys keys = nullptr, std::string path = "");
  void add_error(Place place, std::string message);
  void add_errors(const InputError& error);
  // Throws one InputError with everything collected so far, in the order of files and lines.
  void checkpoint() const;
  // YAML with every key that was read and its value. Reading it gives the same values and the same
  // text.
  std::string resolved() const;
  // Where the value at each dotted path was given; defaults are absent.
  const std::map<std::string, Place>& places() const;

 private:
  friend class Section;
  struct State;
  std::unique_ptr<State> state_;
};

class Section {
 public:
  // T: bool, std::int64_t, std::uint64_t, double, std::string, Tokens, Bytes, Duration,
  // BytesPerSecond, FlopPerSecond. Without limits a number must be at least 0.
  template <class T>
  T required(std::string_view key, const Limits<T>& limits = at_least(T{}));
  template <class T>
  T optional(std::string_view key, const T& fallback, const Limits<T>& limits = at_least(T{}));
  // nullopt when the key is absent or its value is `word` ("auto", "none", "all"), which is then
  // also written out.
  template <class T>
  std::optional<T> optional_or(std::string_view key, std::string_view word,
                               const Limits<T>& limits = at_least(T{}));

  // One of the names; its position is returned.
  std::size_t choice(std::string_view key, const std::vector<std::string>& names,
                     std::optional<std::size_t> fallback);
  template <class E>
  E one_of(std::string_view key, const std::vector<std::pair<std::string, E>>& values,
           std::optional<E> fallback = std::nullopt);

  // A list of T with at least one item.
  template <class T>
  std::vector<T> required_list(std::string_view key, const Limits<T>& limits = at_least(T{}));

  // A map below this one. A missing child reads as an empty map unless it is required.
  Section child(std::string_view key, bool is_required = false);

  // For values with a notation of their own: the node (nullptr when absent), then its canonical
  // text.
  const YamlNode* node(std::string_view key);
  void record(std::string_view key, const std::string& yaml_text);

  bool has(std::string_view key) const;
  // An error at the value of `key`, or at this section when the key is absent.
  void error(std::string_view key, const std::string& message);
  void add_errors(const InputError& error);
  // Every key that nothing has asked for is an error, with the nearest of those that are declared or
  // were asked for; call it last.
  void reject_unknown();

  // "kv_cache.memory"; "" for the top level itself.
  std::string path_of(std::string_view key) const;
  // Of an item of the list under `key`: "cluster.faults[0]".
  std::string path_of(std::string_view key, std::size_t item) const;

 private:
  friend class Document;
  struct Resolved;
  Section(Document::State& state, const YamlNode* node, Resolved& resolved, std::string path,
          SectionKeys keys);
  // The declaration of `key`; nullptr where the section's keys are not declared. A key that should
  // be and is not is a defect of ours.
  const KeySpec* declared(std::string_view key) const;
  // The same of a key that is read as T, or as a list of T.
  template <class T>
  void check_declared(std::string_view key, const Limits<T>& limits, std::string_view word,
                      bool is_list, bool is_required) const;
  const YamlNode* take(std::string_view key);
  const YamlNode* take_required(std::string_view key);
  void expected(const YamlNode& node, std::string_view key, const std::string& what,
                const std::string& hint = "");
  template <class T>
  std::optional<T> value_of(const YamlNode& node, std::string_view key, const Limits<T>& limits,
                            const std::string& alternative);

  Document::State* state_;
  const YamlNode* node_;  // nullptr: absent
  Resolved* resolved_;
  std::string path_;
  SectionKeys keys_;
  std::vector<std::string> known_;
};

// `text` as a YAML scalar: plain where that is safe, else in double quotes.
std::string yaml_scalar(const std::string& text);

template <class E>
E Section::one_of(std::string_view key, const std::vector<std::pair<std::string, E>>& values,
                  std::optional<E> fallback) {
  std::vector<std::string> names;
  std::optional<std::size_t> position;
  for (const auto& [name, value] : values) {
    if (fallback == value) position = names.size();
    names.push_back(name);
  }
  return values[choice(key, names, position)].second;
}

}  // namespace v4cap
