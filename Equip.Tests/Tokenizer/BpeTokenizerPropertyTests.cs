using System.Text;
using Equip.Model;
using Equip.Model.Tokenizer;
using FsCheck;
using FsCheck.Fluent;

namespace Equip.Tests.Tokenizer;

internal sealed class BpeTokenizerPropertyTests
{
    private static readonly string[] _fragments = ["\n", "\r\n", "  ", "\t", "'s", "'LL", "e\u0301", "\u0000", "한국", "½", "\u00A0", "🙂", "\U00020000", "\U0001D7CF", "<|bos", "123", "\uFFFD"];

    private static readonly Arbitrary<string> _texts = Arb.From(
        Gen.OneOf(
            Gen.Choose(0x20, 0x7E).Select(value => ((char)value).ToString()),
            Gen.Choose(0, 0xD7FF).Select(value => ((char)value).ToString()),
            Gen.Choose(0x10000, 0x10FFFF).Select(value => new Rune(value).ToString()),
            Gen.Elements(_fragments)).ListOf().Select(string.Concat));

    private static readonly BpeTokenizer[] _byteLevel =
    [
        BpeTokenizer.Load(LanguageModel.DefaultDirectory),
        TokenizerFile.Bytes("Ġ Ġ", "ĠĠ ĠĠ", "Ã ©", "ð Ł").WithByteLevel().Build(),
        TokenizerFile.Bytes("Ġ Ġ", "1 2", "t h").WithByteLevel(TokenizerFile.Llama3Pattern).WithAdded(259, "<|end|>").Build(),
        TokenizerFile.Bytes("Ċ Ċ", "č Ċ").WithByteLevel(TokenizerFile.Qwen2Pattern).Build(),
    ];

    [Test]
    public void Decode_EncodedText_ByteLevel_IsTheText([Range(0, 3)] int index) =>
        Hold(text => _byteLevel[index].Decode(_byteLevel[index].Encode(text)) == text);

    [Test]
    public void Encode_AnyText_IdsInVocabulary([Range(0, 3)] int index) =>
        Hold(text => _byteLevel[index].Encode(text).All(id => id >= 0 && id < _byteLevel[index].VocabularySize));

    // Every text that ByteLevel cuts is encoded piece by piece, so that joining the pieces' tokens gives back its bytes.
    [Test]
    public void Encode_AnyText_TokensJoinToItsBytes() =>
        Hold(text => string.Concat(_byteLevel[1].Encode(text).Select(_byteLevel[1].TokenOf))
            == string.Concat(Encoding.UTF8.GetBytes(text).Select(value => TokenizerFile.ByteAlphabet[value])));

    [Test]
    public void Encode_Twice_SameIdsFromTheCache([Range(0, 3)] int index) =>
        Hold(text => _byteLevel[index].Encode(text).SequenceEqual(_byteLevel[index].Encode(text)));

    private static void Hold(Func<string, bool> property) =>
        Check.One(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(400).WithEndSize(60).WithReplay(42, 1), Prop.ForAll(_texts, property));
}
