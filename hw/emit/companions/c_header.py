"""C header that packs the fields of a stream's word into bytes, and takes them out again."""

from collections.abc import Iterator, Sequence

from vsq.hw.emit.companions.words import Manifest, Member, Word, words

_WORD = 64
_HEADER = """/* {name}: {title}
   Words of its streams as bytes, least significant first; floats and integers as the bits that the ports carry.
   C99 or C++. */
#ifndef {guard}
#define {guard}

#include <stdint.h>
#include <string.h>

static inline void {name}_put(uint8_t *word, unsigned low, unsigned width, uint64_t value)
{{
  for (unsigned i = 0; i < width; i++)
    word[(low + i) / 8] |= (uint8_t)((value >> i & 1) << (low + i) % 8);
}}

static inline uint64_t {name}_get(const uint8_t *word, unsigned low, unsigned width, int is_signed)
{{
  uint64_t value = 0;
  for (unsigned i = 0; i < width; i++)
    value |= (uint64_t)(word[(low + i) / 8] >> (low + i) % 8 & 1) << i;
  if (is_signed && width < {word} && value >> (width - 1) & 1)
    value |= ~UINT64_C(0) << width;
  return value;
}}
{streams}
#endif
"""
_STREAM = """
/* {stream}: {bits} bits */
#define {macro}_BYTES {bytes}

typedef struct {{
{fields}
}} {name}_t;

static inline void {name}_pack(const {name}_t *beat, uint8_t word[{macro}_BYTES])
{{
  memset(word, 0, {macro}_BYTES);
{pack}
}}

static inline void {name}_unpack(const uint8_t word[{macro}_BYTES], {name}_t *beat)
{{
{unpack}
}}
"""


def c_header(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.h``: for each stream a struct, ``<name>_<stream>_pack`` and ``<name>_<stream>_unpack``.

    A field of more than 64 bits is an array of 64-bit parts, the lowest first, in two's complement.
    """
    del bench
    name = manifest["name"]
    streams = "".join(_stream(name, word) for word in words(manifest))
    text = _HEADER.format(name=name, title=manifest["title"], guard=f"{name.upper()}_H", word=_WORD, streams=streams)
    return {f"{name}.h": text}


def _stream(design: str, word: Word) -> str:
    return _STREAM.format(
        name=word.name,
        macro=word.name.upper(),
        stream=word.stream["name"],
        bits=word.bits,
        bytes=-(-word.bits // 8),
        fields="\n".join(_declaration(member) for member in word.members),
        pack="\n".join(line for member in word.members for line in _pack(design, member)),
        unpack="\n".join(line for member in word.members for line in _unpack(design, member)),
    )


def _type(member: Member) -> str:
    """Return the C type of an element, or of its parts."""
    if member.width > _WORD:
        return "uint64_t"
    size = max(8, 1 << (member.width - 1).bit_length())
    return f"{'' if member.signed else 'u'}int{size}_t"


def _parts(member: Member) -> list[tuple[int, int]]:
    """Return lowest bit and width of each part of an element, one if it has 64 bits or less."""
    return [(low, min(_WORD, member.width - low)) for low in range(0, member.width, _WORD)]


def _declaration(member: Member) -> str:
    sizes = [size for size in (member.count, len(_parts(member))) if size > 1]
    return f"  {_type(member)} {member.name}{''.join(f'[{size}]' for size in sizes)};"


def _elements(member: Member) -> Iterator[tuple[str, str, int]]:
    """Yield of each part of an element the C expression, the expression of its lowest bit, and its width."""
    element = f"beat->{member.name}" + ("[i]" if member.count > 1 else "")
    for number, (low, width) in enumerate(_parts(member)):
        part = f"{element}[{number}]" if len(_parts(member)) > 1 else element
        yield part, f"{member.bit + low}" + (f" + {member.width} * i" if member.count > 1 else ""), width


def _loop(member: Member) -> str:
    return f"  for (unsigned i = 0; i < {member.count}; i++)\n    " if member.count > 1 else "  "


def _pack(design: str, member: Member) -> Iterator[str]:
    for part, low, width in _elements(member):
        yield f"{_loop(member)}{design}_put(word, {low}, {width}, (uint64_t){part});"
    if member.extended and member.padding:
        *_, (part, _, _) = _elements(member)
        yield f"  {design}_put(word, {member.end}, {member.padding}, (int64_t){part} < 0 ? ~UINT64_C(0) : 0);"


def _unpack(design: str, member: Member) -> Iterator[str]:
    for part, low, width in _elements(member):
        sign = int(member.signed and width == member.width - (len(_parts(member)) - 1) * _WORD)
        yield f"{_loop(member)}{part} = ({_type(member)}){design}_get(word, {low}, {width}, {sign});"
