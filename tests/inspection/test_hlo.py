"""A small program, read: who runs how often, who reads what."""

from vitlab.inspection.hlo import Program

PROGRAM = """HloModule m, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

%inner (x: (s32[], f32[8])) -> (s32[], f32[8]) {
  %x = (s32[], f32[8]{0}) parameter(0)
  ROOT %x.1 = (s32[], f32[8]{0}) copy(%x)
}

%outer (y: (s32[], f32[8])) -> (s32[], f32[8]) {
  %y = (s32[], f32[8]{0}) parameter(0)
  ROOT %w = (s32[], /*index=1*/f32[8]{0}) while(%y), condition=%sum, body=%inner, TURNS{"n":"3"}}
}

%fused (v: f32[8], i: s32[]) -> f32[2] {
  %v = f32[8]{0} parameter(0)
  %i = s32[] parameter(1)
  %h = bf16[8]{0} convert(%v)
  %f = f32[8]{0} convert(%h)
  ROOT %d = f32[2]{0} dynamic-slice(%f, %i), dynamic_slice_sizes={2}
}

ENTRY %main (p: f32[8], q: s32[]) -> f32[2] {
  %p = f32[8]{0} parameter(0)
  %q = s32[] parameter(1)
  %t = (s32[], f32[8]{0}) tuple(%q, %p)
  %loop = (s32[], f32[8]{0}) while(%t), condition=%sum, body=%outer, TURNS{"n":"5"}}
  %out = f32[8]{0} get-tuple-element(%loop), index=1
  ROOT %part = f32[2]{0} fusion(%out, /*index=1*/%q), kind=kLoop, calls=%fused
}
""".replace('TURNS', 'metadata={op_name="w"}, backend_config={"known_trip_count":')


def entry(program):
  return {one.name: (computation, one) for computation, one, _ in program.executed()}


def test_loops_in_loops_multiply():
  times = {one.name: times for _, one, times in Program(PROGRAM).executed()}
  assert (times['p'], times['w'], times['x.1']) == (1, 5, 15)
  assert 'd' not in times  # what is fused runs as its fusion


def test_operands_and_types_are_read():
  _, fusion = entry(Program(PROGRAM))['part']
  assert (fusion.op, fusion.operands, fusion.called) == ('fusion', ['out', 'q'], ['fused'])
  assert fusion.is_root and fusion.type == 'f32[2]{0}'


def test_readers_are_found_through_forms_and_fusions():
  program = Program(PROGRAM)
  computation, _ = entry(program)['out']
  assert [one.op for one in program.readers(computation, 'out')] == ['dynamic-slice']
  assert list(program.readers(computation, 'part')) == [None]
  assert [one.op for one in program.readers(computation, 't')] == ['while']
  assert computation.part('loop', 1) == 'out' and computation.part('loop', 0) == ''
  assert computation.part('p', 0) == 'p'


def test_a_value_of_sixteen_bits_is_known_in_its_wider_form():
  program = Program(PROGRAM)
  computation, _ = entry(program)['out']
  assert program.is_narrow(computation, 'part')
  assert not program.is_narrow(computation, 'out')
