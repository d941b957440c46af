"""What two grammars of PowerShell see in scripts.

Standard input is a JSON object of names and texts. Standard output is a list: for
each text and grammar the "errors" of its tree, and the "facts" that rules are
about. A fact has a kind, a text, a line, and where it stands ("guards"):

  try, quiet   in the block of a try; of one that catches and says nothing
  catch        in the block of a catch
  full         in the block of if($wkf)
"""
import json
import sys

import tree_sitter_powershell
import tree_sitter_pwsh
from tree_sitter import Language, Parser

GRAMMARS = {"powershell": tree_sitter_powershell, "pwsh": tree_sitter_pwsh}

# PowerShell takes these quotes for plain ones, and NUL for a character.
PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'",
                       "\u201c": '"', "\u201d": '"', "\u201e": '"', "\0": "\u2400"})

# Nodes that are a matter of the version by being there.
SYNTAX = {"class_statement", "enum_statement", "using_statement", "ternary_expression", "null_coalesce_expression",
          "pipeline_chain_tail", "invokation_foreach_expression", "invocation_foreach_expression",
          "invocation_where_expression", "inlinescript_statement", "parallel_statement", "sequence_statement",
          "requires_statement", "stop_parsing", "trap_statement", "data_statement"}
INVOCATIONS = {"invokation_expression", "invocation_expression"}


def text(node):
    return node.text.decode()


def core(node):
    """The node that an expression consists of: precedence adds layers."""
    while node.child_count == 1:
        node = node.children[0]
    return node


def child(node, *kinds):
    return next((c for c in node.children if c.type in kinds), None)


def method(node):
    """The name of what is called; that of ForEach and Where is syntax."""
    return text(child(node, "member_name") or node)


class Walk:
    def __init__(self, source):
        self.source, self.errors, self.facts, self.guards = source, [], [], []

    def fact(self, kind, node, what=None):
        self.facts.append({"kind": kind, "text": what if what is not None else text(node),
                           "line": node.start_point[0] + 1, "guards": sorted(set(self.guards))})

    def node(self, node):
        if node.type == "ERROR" or node.is_missing:
            missing = "missing " + node.type + " " if node.is_missing else ""
            self.errors.append({"line": node.start_point[0] + 1, "text": missing + text(node)[:200]})
        look = getattr(self, node.type, None)
        if node.type in SYNTAX:
            self.fact("syntax", node, node.type)
        if node.type in INVOCATIONS:
            self.invocation(node)
        if look:
            look(node)
        for c in node.children:
            guard = self.guard(node, c)
            self.guards.extend(guard)
            self.node(c)
            del self.guards[len(self.guards) - len(guard):]

    def guard(self, node, inner):
        if inner.type != "statement_block":
            return []
        if node.type == "try_statement":
            catch = child(child(node, "catch_clauses") or node, "catch_clause")
            block = catch and child(catch, "statement_block")
            return ["try"] + (["quiet"] if block and not block.named_children else [])
        if node.type == "catch_clause":
            return ["catch"]
        condition = child(node, "pipeline")
        return ["full"] if node.type == "if_statement" and condition and text(condition) == "$wkf" else []

    def invocation(self, node):
        self.fact("method", node, ("::" if child(node, "::") else "") + method(node))

    def type_literal(self, node):
        self.fact("type", node, text(node).strip("[]"))

    def comparison_operator(self, node):
        self.fact("operator", node, text(node).lower())

    def assignment_operator(self, node):
        self.fact("operator", node)

    assignement_operator = assignment_operator

    def comparison_expression(self, node):
        if node.child_count == 3 and text(node.children[2]).lower() == "$null":
            self.fact("null on the right", node)

    def logical_expression(self, node):
        """-and and -or have the same precedence."""
        left = core(node.children[0])
        if node.child_count == 3 and left.type == node.type and text(left.children[1]).lower() != text(node.children[1]).lower():
            self.fact("mixed", node)

    def variable(self, node):
        """With a colon behind it in a string, where the grammars take it for text."""
        colon = node.parent.type.startswith("expandable") and self.source[node.end_byte:node.end_byte + 1] == b":"
        self.fact("variable", node, text(node) + (":" if colon else ""))

    def assignment_expression(self, node):
        left = core(child(node, "left_assignment_expression"))
        if left.type == "member_access":
            self.fact("set", left)
        right = core(node.children[-1])
        if right.type == "verbatim_string_characters":
            self.fact("literal", node, text(left) + "=" + text(right))

    def function_statement(self, node):
        self.fact("function", child(node, "function_name"))

    def command(self, node):
        name = child(node, "command_name")
        if name is None:    # & something
            self.fact("call", node)
            return
        self.fact("command", name)
        elements = child(node, "command_elements")
        arguments = [] if elements is None else [c for c in elements.children if c.type != "command_argument_sep"]
        for a in arguments:
            if a.type == "command_parameter":
                self.fact("parameter", a, text(name) + " " + text(a))
        if text(name) == "New-Object" and arguments and arguments[0].type != "command_parameter":
            self.fact("object", arguments[0])
        if text(name) in ("Where-Object", "ForEach-Object") and not any(core(a).type == "script_block_expression" or "{" in text(a) for a in arguments):
            self.fact("syntax", node, "simple_where")

    def statement_list(self, node):
        for c in node.children:
            if c.type == "pipeline" and core(c).type in INVOCATIONS:
                self.fact("bare", c, method(core(c)))


def main():
    parsers = {name: Parser(Language(module.language())) for name, module in GRAMMARS.items()}
    out = []
    for name, script in json.load(sys.stdin).items():
        for grammar, parser in parsers.items():
            walk = Walk(script.translate(PLAIN).encode())
            walk.node(parser.parse(walk.source).root_node)
            out.append({"name": name, "grammar": grammar, "errors": walk.errors, "facts": walk.facts})
    json.dump(out, sys.stdout)


main()
