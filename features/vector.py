"""Vector code for the processor at hand, written as LLVM's intermediate representation.

A compiler's own loops leave a third of a core's arithmetic unused; here the tile of results that
stays in registers is shaped by hand, and LLVM does the rest. Compiling a function takes about a
tenth of a second a process, so nothing is kept on disk.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numpy.typing import DTypeLike, NDArray

FLOAT, DOUBLE, INT = ir.FloatType(), ir.DoubleType(), ir.IntType(64)
FLOATS, DOUBLES, INTS = FLOAT.as_pointer(), DOUBLE.as_pointer(), INT.as_pointer()
ALIGNMENT = 64

_compiling = Lock()
# The machine code lives as long as its engine.
_engines: list[Any] = []


@dataclass(frozen=True)
class Machine:
    """What a processor's vector registers hold.

    Parameters
    ----------
    lanes : int
        Single-precision numbers in one register.
    registers : int
        Number of registers.
    """

    lanes: int
    registers: int


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """Return the widest vectors that this processor has."""
    has = llvm.get_host_cpu_features()
    if has.get("avx512f"):
        return Machine(16, 32)
    if has.get("avx2") and has.get("fma"):
        return Machine(8, 16)
    return Machine(4, 32 if has.get("neon") else 16)


def aligned(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return a zeroed array that starts at a cache line.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : data type
        Its type.

    Returns
    -------
    numpy.ndarray
        C-contiguous.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size].view(dtype).reshape(shape)


@dataclass
class Loop:
    """A counted loop under construction.

    Parameters
    ----------
    index : llvmlite.ir.Value
        The counter.
    values : list of llvmlite.ir.Value
        What the turn before handed on.
    handed_on : list of llvmlite.ir.Value
        What this turn hands on; after the loop ``values`` are the last ones.
    """

    index: Any
    values: list[Any]
    handed_on: list[Any]


class Function:
    """A function under construction: LLVM's builder with the few things that kernels need.

    Parameters
    ----------
    name : str
        Of the function.
    arguments : mapping of str to llvmlite.ir.Type
        In the order of the call; arrays do not overlap.
    lanes : int
        Numbers in one vector.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], lanes: int) -> None:
        self.lanes = lanes
        self.vector = ir.VectorType(FLOAT, lanes)
        self._module = ir.Module(name)
        kind = ir.FunctionType(ir.VoidType(), list(arguments.values()))
        self._function = ir.Function(self._module, kind, name)
        for argument in self._function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        self.build = ir.IRBuilder(self._function.append_basic_block())
        self.arguments: dict[str, Any] = dict(zip(arguments, self._function.args, strict=True))
        fused = ir.FunctionType(self.vector, [self.vector] * 3)
        self._fma = ir.Function(self._module, fused, f"llvm.fma.v{lanes}f32")
        self.zero = self.constant(0.0)

    def constant(self, value: float) -> Any:
        """Return a vector of one known number."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def place(self, *terms: Any) -> Any:
        """Return a sum of integers; a pair stands for its product."""
        values = []
        for term in terms:
            parts = term if isinstance(term, tuple) else (term,)
            known = [INT(part) if isinstance(part, int) else part for part in parts]
            values.append(known[0] if len(known) == 1 else self.build.mul(*known))
        total = values[0]
        for value in values[1:]:
            total = self.build.add(total, value)
        return total

    def pointer(self, array: Any, *terms: Any) -> Any:
        """Return the address of an array's element."""
        return self.build.gep(array, [self.place(*terms)])

    def difference(self, first: Any, second: Any) -> Any:
        """Return one integer less another."""
        return self.build.sub(first, second)

    def least(self, first: Any, second: int) -> Any:
        """Return the smaller one of an integer and a known one."""
        smaller = self.build.icmp_signed("<", first, INT(second))
        return self.build.select(smaller, first, INT(second))

    def number(self, array: Any, *terms: Any) -> Any:
        """Load one element."""
        return self.build.load(self.pointer(array, *terms))

    def spread(self, array: Any, *terms: Any) -> Any:
        """Load one number into every lane."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.build.insert_element(undefined, self.number(array, *terms), INT(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.build.shuffle_vector(first, undefined, lanes)

    def load(self, array: Any, *terms: Any) -> Any:
        """Load a vector; it lies at a multiple of its own size."""
        value = self.build.load(self._as_vector(array, *terms))
        value.align = 4 * self.lanes
        return value

    def store(self, value: Any, array: Any, *terms: Any, alignment: int = 0) -> None:
        """Store a vector; it lies at a multiple of its own size, or of so many bytes."""
        stored = self.build.store(value, self._as_vector(array, *terms))
        stored.align = alignment or 4 * self.lanes

    def add_to(self, array: Any, place: Any, value: Any) -> None:
        """Add a vector to as many double-precision elements."""
        doubles = ir.VectorType(DOUBLE, self.lanes)
        kept = self.build.bitcast(self.pointer(array, place), doubles.as_pointer())
        before = self.build.load(kept)
        before.align = 8
        total = self.build.fadd(before, self.build.fpext(value, doubles))
        self.build.store(total, kept).align = 8

    def fma(self, first: Any, second: Any, third: Any) -> Any:
        """Return ``first * second + third``, rounded once."""
        return self.build.call(self._fma, [first, second, third])

    def larger(self, first: Any, second: Any) -> Any:
        """Return the larger one, lane by lane."""
        return self.build.select(self.build.fcmp_ordered(">", first, second), first, second)

    def smaller(self, first: Any, second: Any) -> Any:
        """Return the smaller one, lane by lane."""
        return self.build.select(self.build.fcmp_ordered("<", first, second), first, second)

    def room(self, vectors: int) -> Any:
        """Return space for vectors on the stack."""
        space = self.build.alloca(FLOAT, vectors * self.lanes)
        space.align = ALIGNMENT
        return space

    @contextmanager
    def loop(self, count: Any, carried: Sequence[Any] = (), step: int = 1) -> Iterator[Loop]:
        """Count from 0 to below ``count`` in steps, handing values from turn to turn."""
        build = self.build
        before = build.block
        head, body, after = (build.append_basic_block() for _ in range(3))
        build.branch(head)
        build.position_at_end(head)
        index = build.phi(INT)
        index.add_incoming(INT(0), before)
        values = []
        for value in carried:
            values.append(build.phi(value.type))
            values[-1].add_incoming(value, before)
        limit = INT(count) if isinstance(count, int) else count
        build.cbranch(build.icmp_signed("<", index, limit), body, after)
        build.position_at_end(body)
        loop = Loop(index, values, list(values))
        yield loop
        index.add_incoming(build.add(index, INT(step)), build.block)
        for value, last in zip(values, loop.handed_on, strict=True):
            value.add_incoming(last, build.block)
        build.branch(head)
        build.position_at_end(after)

    def compile(self) -> Callable[..., None]:
        """Close the function and return it compiled; a call releases the interpreter's lock."""
        self.build.ret_void()
        with _compiling:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            machine = llvm.Target.from_default_triple().create_target_machine(
                cpu=llvm.get_host_cpu_name(),
                features=llvm.get_host_cpu_features().flatten(),
                opt=3,
            )
            module = llvm.parse_assembly(str(self._module))
            module.verify()
            options = llvm.create_pipeline_tuning_options(speed_level=2)
            # Loops are laid out by hand: unrolled further, they would run out of registers.
            options.loop_unrolling = False
            passes = llvm.create_pass_builder(machine, options)
            passes.getModulePassManager().run(module, passes)
            engine = llvm.create_mcjit_compiler(module, machine)
            engine.finalize_object()
            _engines.append(engine)
        kinds = [
            ctypes.c_int64 if argument.type == INT else ctypes.c_void_p
            for argument in self._function.args
        ]
        entry = engine.get_function_address(self._function.name)
        return ctypes.CFUNCTYPE(None, *kinds)(entry)

    def _as_vector(self, array: Any, *terms: Any) -> Any:
        return self.build.bitcast(self.pointer(array, *terms), self.vector.as_pointer())
