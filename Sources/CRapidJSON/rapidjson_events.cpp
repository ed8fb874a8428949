#include "rapidjson_events.h"

// Its assertions are for callers' mistakes; nothing from outside may end the program.
#define RAPIDJSON_ASSERT(condition) ((void)0)
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

namespace {

struct Handler {
  const sdlab_json_events *events;
  void *context;

  bool Null() { return events->null(context); }
  bool Bool(bool value) { return events->boolean(context, value); }
  bool RawNumber(const char *text, rapidjson::SizeType length, bool) {
    return events->number(context, text, length);
  }
  bool String(const char *text, rapidjson::SizeType length, bool) {
    return events->string(context, text, length);
  }
  bool Key(const char *text, rapidjson::SizeType length, bool) {
    return events->key(context, text, length);
  }
  bool StartObject() { return events->start_object(context); }
  bool EndObject(rapidjson::SizeType count) { return events->end_object(context, count); }
  bool StartArray() { return events->start_array(context); }
  bool EndArray(rapidjson::SizeType count) { return events->end_array(context, count); }
  // Numbers are asked for as text.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }
};

const char *problem(rapidjson::ParseErrorCode code) {
  switch (code) {
    case rapidjson::kParseErrorNone: return nullptr;
    case rapidjson::kParseErrorTermination: return "";
    case rapidjson::kParseErrorDocumentEmpty: return "nothing there; expected a value";
    case rapidjson::kParseErrorDocumentRootNotSingular: return "expected nothing more after the value";
    case rapidjson::kParseErrorValueInvalid: return "expected a value";
    case rapidjson::kParseErrorObjectMissName: return "expected a member's name in double quotes";
    case rapidjson::kParseErrorObjectMissColon: return "expected ':' after a member's name";
    case rapidjson::kParseErrorObjectMissCommaOrCurlyBracket: return "expected ',' or '}'";
    case rapidjson::kParseErrorArrayMissCommaOrSquareBracket: return "expected ',' or ']'";
    case rapidjson::kParseErrorStringUnicodeEscapeInvalidHex: return "expected four hexadecimal digits after \\u";
    case rapidjson::kParseErrorStringUnicodeSurrogateInvalid: return "one half of a surrogate pair without the other";
    case rapidjson::kParseErrorStringEscapeInvalid: return "no such escape; there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u";
    case rapidjson::kParseErrorStringMissQuotationMark: return "expected '\"' at the end of the text";
    case rapidjson::kParseErrorStringInvalidEncoding: return "text must be UTF-8, with control characters escaped";
    case rapidjson::kParseErrorNumberTooBig: return "the number is beyond 1.8e308";
    case rapidjson::kParseErrorNumberMissFraction: return "expected a digit after the number's point";
    case rapidjson::kParseErrorNumberMissExponent: return "expected a digit in the number's exponent";
    default: return "not JSON";
  }
}

}  // namespace

sdlab_json_result sdlab_json_parse(
    const char *bytes, size_t length, const sdlab_json_events *events, void *context) {
  constexpr unsigned flags = rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag
      | rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(bytes, length);
  rapidjson::Reader reader;
  Handler handler{events, context};
  const rapidjson::ParseResult result = reader.Parse<flags>(stream, handler);
  if (result.IsError()) return {problem(result.Code()), result.Offset()};
  // The stream says zero at its end, so the parser takes a zero in the input for that.
  if (stream.Tell() < length) return {problem(rapidjson::kParseErrorDocumentRootNotSingular), stream.Tell()};
  return {nullptr, length};
}
