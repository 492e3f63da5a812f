"""The API reference: for each module of the package a page of Markdown, made from its source. Nothing is imported.

Parameters are documented as in the lessons: by a comment on the parameter's own line (nbdev's docments)."""

import ast
import copy
import io
import re
import tokenize
from dataclasses import dataclass
from functools import cached_property


@dataclass
class Parameter:
    name: str
    type: str
    default: str
    comment: str


def marks(node): return [ast.unparse(decorator) for decorator in node.decorator_list]


def is_patch(node): return any(mark.split("(")[0] == "patch" for mark in marks(node))


def end(node): return node.end_lineno


class Module:
    "A module of the package and what it makes public."

    def __init__(self, path):
        self.name, self.source = path.stem, path.read_text(encoding="utf-8")
        self.tree, self.lines = ast.parse(self.source), self.source.encode().split(b"\n")
        tokens = tokenize.generate_tokens(io.StringIO(self.source).readline)
        self.comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def definitions(self):
        "Name -> the statement that defines it."
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign): found |= {part.id: node for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not is_patch(node): found[node.name] = node
        return found

    @cached_property
    def names(self): return ast.literal_eval(self.definitions["__all__"].value) if "__all__" in self.definitions else []

    @cached_property
    def patched(self):
        "Class -> the functions that `@patch` turns into its methods."
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef) and is_patch(node): found.setdefault(ast.unparse(node.args.args[0].annotation), []).append(node)
        return found

    def methods(self, node):
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)] + self.patched.get(node.name, [])
        return [method for method in methods if method.name == "__call__" or not method.name.startswith("_")]

    def text(self, node):
        "The source of `node`, as `ast.get_source_segment` has it, which splits the file anew each time."
        if not node: return ""
        lines = self.lines[node.lineno - 1:node.end_lineno]
        lines[-1] = lines[-1][:node.end_col_offset]
        return b"\n".join([lines[0][node.col_offset:], *lines[1:]]).decode()

    def parameters(self, node, skip=0):
        "The parameters of a function without the first `skip`. A comment belongs to all parameters on its line."
        args = node.args
        plain = args.posonlyargs + args.args
        rows = list(zip(plain, [None] * (len(plain) - len(args.defaults)) + args.defaults))[skip:]
        rows += [(args.vararg, None)] * bool(args.vararg) + list(zip(args.kwonlyargs, args.kw_defaults)) + [(args.kwarg, None)] * bool(args.kwarg)
        lines = [end(default or arg) for arg, default in rows]
        stars = {id(args.vararg): "*", id(args.kwarg): "**"}
        return [Parameter(stars.get(id(arg), "") + arg.arg, self.text(arg.annotation), self.text(default),
                          "" if line == node.lineno else self.comments.get(line, ""))
                for (arg, default), line in zip(rows, lines)]

    def fields(self, node):
        "What the constructor of a dataclass takes."
        found = []
        for part in node.body:
            if not isinstance(part, ast.AnnAssign): continue
            default = self.text(part.value)
            if default.startswith("field("):
                options = {option.arg: self.text(option.value) for option in part.value.keywords}
                if options.get("init") == "False": continue
                default = options.get("default", options.get("default_factory", "") + "()")
            found.append(Parameter(part.target.id, self.text(part.annotation), default, self.comments.get(end(part), "")))
        return found

    def result(self, node):
        "The type that a function returns, and the comment behind it."
        args = [end(part) for part in ast.walk(node.args) if hasattr(part, "end_lineno")]
        first = max([line + 1 for line in args if line > node.lineno] or [node.lineno])
        return self.text(node.returns).strip("'\""), " ".join(self.comments[line] for line in range(first, node.body[0].lineno) if line in self.comments)


class Reference:
    "All modules, and their pages. `links(module, name, line)` is a line that leads to where `name` is defined."

    def __init__(self, folder, links):
        self.modules = [module for path in sorted(folder.glob("[!_]*.py")) if (module := Module(path)).names]
        self.classes = {node.name: (module, node) for module in self.modules for node in module.tree.body if isinstance(node, ast.ClassDef)}
        self.package, self.links = folder.name, links

    def constructor(self, node):
        "The parameters of a class: those of its `__init__`, its fields, or what the class that it builds on takes."
        module = self.classes[node.name][0]
        init = next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)
        if init: return arguments(init, skip=1), module.parameters(init, skip=1)
        inherited = [self.classes[base][1] for base in map(ast.unparse, node.bases) if base in self.classes]
        own = module.fields(node) if any(mark.startswith("dataclass") for mark in marks(node)) or "NamedTuple" in map(ast.unparse, node.bases) else []
        signature, rows = self.constructor(inherited[0]) if inherited else ("", [])
        if not own: return signature, rows
        return ", ".join(filter(None, [signature, *(f"{p.name}={p.default}" if p.default else p.name for p in own)])), rows + own

    def hidden(self, base):
        "(module, class) of a base with a private name, which readers should see through; else None."
        return self.classes.get(base) if base.startswith("_") else None

    def bases(self, node):
        "The names of the classes that a class builds on; for a hidden one, of those that it builds on."
        for base in map(ast.unparse, node.bases):
            if hidden := self.hidden(base): yield from self.bases(hidden[1])
            else: yield base

    def methods(self, module, node):
        "(module, method) of a class: its own, and those of hidden classes that it builds on."
        found = {method.name: (module, method) for method in module.methods(node)}
        for hidden in filter(None, map(self.hidden, map(ast.unparse, node.bases))):
            for where, method in self.methods(*hidden): found.setdefault(method.name, (where, method))
        return list(found.values())

    def described(self, node, name):
        "The public class from which a method without a docstring has its meaning, if there is one."
        for base in self.bases(node):
            if base not in self.classes: continue
            module, above = self.classes[base]
            if any(method.name == name and ast.get_docstring(method) for method in module.methods(above)): return base
            if found := self.described(above, name): return found

    def method(self, cls, module, node):
        base = None if ast.get_docstring(node) else self.described(cls, node.name)
        return self.function(module, node, "method", skip=1, note=f"As in `{base}`." if base else "")

    def function(self, module, node, kind="function", skip=0, prefix="", note=""):
        static, prop = "staticmethod" in marks(node), any("property" in mark or "as_prop" in mark for mark in marks(node))
        if kind == "method" and prop: kind = "property"
        options = [f":{mark}:" for mark in ("classmethod", "staticmethod") if mark in marks(node)]
        skip = 0 if static else skip
        returns, comment = module.result(node)
        if node.name == "forward": note, comment = note or comment, ""     # there it says what goes in
        signature = "" if kind == "property" else f"({arguments(node, skip)})"
        parts = [prose(ast.get_docstring(node) or note), table(module.parameters(node, skip)), f"Returns {f'`{returns}`' if returns else ''}{': ' * bool(returns and comment)}{prose(comment)}." if returns or comment else ""]
        if kind == "function" or prefix: parts.append(self.links(module, prefix + node.name, node.lineno))
        return directive(kind, prefix + node.name + signature, options, parts)

    def type(self, module, node):
        signature, rows = self.constructor(node)
        bases = list(dict.fromkeys(self.bases(node)))
        parts = [prose(ast.get_docstring(node) or ""), f"Builds on {', '.join(f'`{base}`' for base in bases)}." if bases else "", table(rows), self.links(module, node.name, node.lineno)]
        parts += [self.method(node, *found) for found in self.methods(module, node)]
        return directive("exception" if any("Error" in base or "Exception" in base for base in bases) else "class", f"{node.name}({signature})", [], parts)

    def entry(self, module, name):
        node = module.definitions[name]
        if isinstance(node, ast.FunctionDef): return self.function(module, node)
        if isinstance(node, ast.ClassDef): return self.type(module, node)
        return directive("data", name, [], [prose(module.comments.get(end(node), "")), f"```python\n{module.text(node)}\n```", self.links(module, name, node.lineno)])

    def page(self, module):
        foreign = [(name, node) for name, nodes in module.patched.items() if name not in self.classes for node in nodes]
        entries = [self.entry(module, name) for name in module.names]
        entries += [self.function(module, node, "method", skip=1, prefix=f"{name}.") for name, node in foreign]
        return "\n\n".join([f"# {self.package}.{module.name}", f"```{{py:module}} {self.package}.{module.name}\n```", ast.get_docstring(module.tree) or "", *entries]) + "\n"


def arguments(node, skip=0):
    "What stands between the parentheses, without types."
    args = copy.deepcopy(node.args)
    for part in ast.walk(args):
        if isinstance(part, ast.arg): part.annotation = None
    for _ in range(skip): (args.posonlyargs or args.args).pop(0)
    return ast.unparse(args)


def prose(text):
    "A docstring or a comment as Markdown: code between backticks, and no other markup."
    return re.sub(r"(`+).+?\1|[*_<$\[]", lambda found: found[0] if found[1] else "\\" + found[0], text, flags=re.S)


def directive(kind, signature, options, parts):
    "Fences of a method are shorter than those of the class around it."
    fence = ":::" if kind in ("method", "property") else "::::"
    return "\n".join([f"{fence}{{py:{kind}}} {signature}", *options, "", "\n\n".join(filter(None, parts)), fence])


def table(rows):
    if not any(row.comment or row.type for row in rows): return ""
    def code(text): return f"`{' '.join(text.split())}`".replace("|", "\\|") if text else ""
    lines = ["| parameter | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {code(r.name)} | {code(r.type)} | {code(r.default)} | {prose(r.comment).replace('|', chr(92) + '|')} |" for r in rows])
