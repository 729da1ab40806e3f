"""Each rule of tidy.py refuses what it is there for, and leaves its neighbours alone."""

import unittest

import support  # noqa: F401 (makes the scripts importable)
import tidy


def errors(path, text):
    return list(tidy.file_errors(path, text))


def body(lines):
    return "  step();\n" * lines


class Functions(unittest.TestCase):
    def found(self, text):
        return [(first, lines) for _, first, lines in tidy.functions(text)]

    def test_the_length_runs_from_signature_to_brace(self):
        self.assertEqual(self.found("\nvoid f(int a,\n       int b) {\n  g();\n}\n"), [(2, 4)])

    def test_in_namespace_class_and_template(self):
        text = ("namespace a {\nclass B : public C<int> {\n public:\n"
                "  explicit B(int x) : x_(x), y_{{x}, {}} {\n    g();\n  }\n};\n"
                "template <class T>\nrequires(sizeof(T) > 1)\n"
                "auto h(T t) -> int {\n  return 1;\n}\n"
                "}  // namespace a\n")
        self.assertEqual(self.found(text), [(3, 4), (8, 5)])

    def test_braces_in_strings_comments_and_macros_do_not_count(self):
        text = ('#define OPEN {\nvoid f() {\n  g("}}}{", \'{\'); // {\n  /* { */\n'
                '  h(R"x({{{)x", 1\'000);\n}\nvoid g() {\n}\n')
        self.assertEqual(self.found(text), [(2, 5), (7, 2)])

    def test_tables_are_no_functions(self):
        rows = "  {1, 2},\n" * 90
        for head in ("constexpr Row kRows[] = {", "constexpr std::array<Row, size()> kRows = {"):
            self.assertEqual(errors("lib/net/t.hpp", head + "\n" + rows + "};\n"), [], head)

    def test_classes_are_no_functions(self):
        fields = "  int field;\n" * 90
        self.assertEqual(errors("lib/net/c.hpp", "struct alignas(64) C {\n" + fields + "};\n"), [])

    def test_seventy_lines_pass_and_seventy_one_do_not(self):
        self.assertEqual(errors("lib/net/f.cpp", "void f() {\n" + body(68) + "}\n"), [])
        self.assertEqual(len(errors("lib/net/f.cpp", "void f() {\n" + body(69) + "}\n")), 1)

    def test_tests_members_and_lambdas_are_measured_too(self):
        for head in ("TEST(Room, Case) {", "int C::f(int x) const noexcept {",
                     "const auto f = [](int x) {", "bool operator==(const A& a, const A& b) {"):
            text = head + "\n" + body(80) + "}\n"
            self.assertEqual(len(errors("tests/unit/x_test.cpp", text)), 1, head)

    def test_python_functions(self):
        long = "def f():\n" + "    pass\n" * 70
        self.assertEqual(len(errors("scripts/x.py", long)), 1)


class Sizes(unittest.TestCase):
    def test_columns(self):
        self.assertEqual(errors("lib/net/a.hpp", "//" + "x" * 98 + "\n"), [])
        self.assertEqual(len(errors("lib/net/a.hpp", "//" + "x" * 99 + "\n")), 1)
        self.assertEqual(errors("lib/net/a.def", "ROW(" + "x" * 120 + ")\n"), [])

    def test_a_table_laid_out_by_hand_may_be_wide(self):
        wide = "// " + "x" * 120 + "\n"
        self.assertEqual(errors("lib/net/a.hpp",
                                "// clang-format off\n" + wide + "// clang-format on\n"), [])
        self.assertEqual(len(errors("lib/net/a.hpp",
                                    "// clang-format off\n// clang-format on\n" + wide)), 1)

    def test_lines_of_a_file(self):
        self.assertEqual(errors("lib/net/a.hpp", "// x\n" * 600), [])
        self.assertEqual(len(errors("lib/net/a.hpp", "// x\n" * 601)), 1)

    def test_ascii(self):
        self.assertEqual(len(errors("lib/net/a.hpp", "// \u00a7 3.10\n")), 1)


class Words(unittest.TestCase):
    def assert_refused(self, path, line):
        self.assertEqual(len(errors(path, line + "\n")), 1, (path, line))

    def assert_allowed(self, path, line):
        self.assertEqual(errors(path, line + "\n"), [], (path, line))

    def test_rand(self):
        self.assert_refused("perf/x.cpp", "int a = rand();")
        self.assert_refused("perf/x.cpp", "int a = std::rand ();")
        self.assert_allowed("perf/x.cpp", "int a = operand(1);")

    def test_owning_types_of_the_data_path(self):
        for room in ("net", "ip", "flow", "tcp", "pipeline"):
            self.assert_refused(f"lib/{room}/x.hpp", "std::function<void()> f;")
            self.assert_refused(f"lib/{room}/x.hpp", "std::shared_ptr<int> p;")
        self.assert_allowed("lib/sinks/x.hpp", "std::function<void()> f;")

    def test_using_namespace(self):
        self.assert_refused("lib/sinks/x.cpp", "using namespace std;")
        self.assert_allowed("tests/unit/x.cpp", "using namespace std::string_literals;")
        self.assert_allowed("lib/sinks/x.cpp", "// never using namespace std")

    def test_printing(self):
        self.assert_refused("lib/io/x.cpp", 'std::printf("x");')
        self.assert_refused("lib/io/x.cpp", 'snprintf(b, 1, "x");')
        self.assert_refused("lib/io/x.cpp", "std::cerr << 1;")
        self.assert_allowed("lib/base/check.cpp", 'std::fprintf(stderr, "x");')
        self.assert_allowed("app/main.cpp", 'std::printf("x");')

    def test_tests_that_do_not_run(self):
        self.assert_refused("tests/unit/x_test.cpp", "GTEST_SKIP();")
        self.assert_refused("tests/unit/x_test.cpp", "TEST(A, DISABLED_B);")

    def test_the_mark_of_unfinished_work(self):
        self.assert_refused("lib/io/x.cpp", "// FIX" + "ME later")
        self.assert_refused("scripts/x.py", "# FIX" + "ME later")
        self.assert_allowed("lib/io/x.cpp", "// TODO(name): reason")


if __name__ == "__main__":
    unittest.main()
