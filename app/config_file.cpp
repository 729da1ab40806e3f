#include "config_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <istream>
#include <map>
#include <string_view>

#include "parse.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

constexpr std::string_view kBlank = " \t\r";
/// Sections of commands that take a file.
constexpr std::array<std::string_view, 3> kSections = {"read", "live", "run"};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Takes quotes and a comment off; false where a quote does not end.
bool read_value(std::string_view text, std::string& value) {
  if (!text.empty() && (text.front() == '"' || text.front() == '\'')) {
    const std::size_t end = text.find(text.front(), 1);
    if (end == std::string_view::npos) return false;
    value = text.substr(1, end - 1);
    const std::string_view rest = trimmed(text.substr(end + 1));
    return rest.empty() || rest.front() == '#';
  }
  value = trimmed(text.substr(0, std::min(text.find('#'), text.size())));
  return true;
}

/// A value as a line of a file that gives it back.
std::string quoted(const std::string& value) {
  const bool plain = value.find_first_of("#\"'") == std::string::npos && !value.empty() &&
                     trimmed(value).size() == value.size();
  if (plain) return value;
  return value.find('"') == std::string::npos ? fmt::format("\"{}\"", value)
                                              : fmt::format("'{}'", value);
}

/// Reads the file for CLI11, strictly: whatever it does not know is an error that names its line.
class ConfigFile final : public CLI::Config {
 public:
  explicit ConfigFile(const CLI::App& app) : app_(app) {
    const std::string& name = app.get_name();  // "flowloom read"
    command_ = name.substr(name.rfind(' ') + 1);
  }

  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> read;
    std::string section;
    std::string text;
    for (unsigned line = 1; std::getline(input, text); ++line) {
      const std::string_view content = trimmed(text);
      if (content.empty() || content.front() == '#' || content.front() == ';') continue;
      if (content.front() == '[') {
        section = read_section(content, line);
        continue;
      }
      CLI::ConfigItem item = read_line(content, line, section);
      if (section.empty() || section == command_) add(std::move(item), line, read);
    }
    return read;
  }

  /// "FILE:LINE" of an option that the file set; empty: it did not.
  [[nodiscard]] std::string place_of(const std::string& name) const {
    const auto at = lines_.find(name);
    return at == lines_.end() ? "" : fmt::format("{}:{}", path(), at->second);
  }

 private:
  [[nodiscard]] std::string path() const { return app_.get_config_ptr()->results().front(); }

  [[noreturn]] void fail(unsigned line, const std::string& what) const {
    throw CLI::ConfigError(fmt::format("{}:{}: {}", path(), line, what));
  }

  [[nodiscard]] std::string read_section(std::string_view content, unsigned line) const {
    const std::string_view name = trimmed(content.substr(1, content.find(']') - 1));
    const bool known = std::find(kSections.begin(), kSections.end(), name) != kSections.end();
    if (content.back() != ']' || !known) {
      fail(line, fmt::format("'{}' is no section; there are [{}]", content,
                             fmt::join(kSections, "], [")));
    }
    return std::string(name);
  }

  /// The option of another command's section may be one that only that command has.
  [[nodiscard]] CLI::ConfigItem read_line(std::string_view content, unsigned line,
                                          const std::string& section) const {
    CLI::ConfigItem item;
    const std::size_t equals = content.find('=');
    const std::string_view name = content.substr(0, std::min(equals, content.find('#')));
    item.name = trimmed(name);
    std::string value = "true";
    if (equals != std::string_view::npos && name.size() == equals &&
        !read_value(trimmed(content.substr(equals + 1)), value)) {
      fail(line, fmt::format("the value of '{}' has a quote that does not end", item.name));
    }
    item.inputs = {value};
    const bool ours = section.empty() || section == command_;
    const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
    if (ours && (option == nullptr || !option->get_configurable())) {
      fail(line, fmt::format("there is no option '{}'", item.name));
    }
    return item;
  }

  void add(CLI::ConfigItem item, unsigned line, std::vector<CLI::ConfigItem>& read) const {
    const CLI::Option& option = *app_.get_option_no_throw("--" + item.name);
    const auto before = std::find_if(read.begin(), read.end(), [&](const CLI::ConfigItem& other) {
      return other.name == item.name;
    });
    if (option.count() == 0) lines_[item.name] = line;  // else the command line has it
    if (before == read.end()) {
      read.push_back(std::move(item));
    } else if (option.get_items_expected_max() > 1) {
      before->inputs.push_back(item.inputs.front());
    } else {
      fail(line, fmt::format("'{}' is given for the second time", item.name));
    }
  }

  const CLI::App& app_;
  std::string command_;
  mutable std::map<std::string, unsigned> lines_;  // from_config() is const
};

/// The option that a sentence of CLI11 is about: "--workers: Value 99 not in range".
std::string option_in(std::string_view sentence) {
  const std::size_t dashes = sentence.find("--");
  if (dashes == std::string_view::npos) return {};
  sentence.remove_prefix(dashes + 2);
  return std::string(sentence.substr(0, sentence.find_first_of(": ")));
}

void print_settings(const CLI::App& app, const ConfigFile& file) {
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    const std::string& name = option->get_lnames().front();
    if (option->count() == 0) {
      const bool flag = option->get_expected_min() == 0;
      const std::string value = flag ? "false" : option->get_default_str();
      if (value.empty()) {
        fmt::print("# {} is not set\n", name);
      } else {
        fmt::print("{} = {}  # default\n", name, quoted(value));
      }
      continue;
    }
    const std::string place = file.place_of(name);
    for (const std::string& value : option->reduced_results()) {
      fmt::print("{} = {}  # {}\n", name, quoted(value), place.empty() ? "command line" : place);
    }
  }
}

}  // namespace

std::optional<int> parse_with_config(CLI::App& app, std::span<char* const> arguments,
                                     CommonOptions& options) {
  bool check_only = false;
  app.set_config("--config", "", "Options from a file; the command line goes before it")
      ->option_text("FILE");
  app.add_flag("--check-config", check_only, "Say what would be used, and end")
      ->configurable(false);
  const auto file = std::make_shared<ConfigFile>(app);
  app.config_formatter(file);
  const auto place = [&](const std::string& sentence) {
    const std::string at = file->place_of(option_in(sentence));
    return at.empty() ? sentence : fmt::format("{}: {}", at, sentence);
  };
  if (const auto status = parse(app, arguments, place)) return status;
  if (!check_only) return std::nullopt;
  Session session(options);
  const ExitStatus status = session.check();
  if (status == ExitStatus::Ok) print_settings(app, *file);
  return static_cast<int>(status);
}

}  // namespace flowloom
