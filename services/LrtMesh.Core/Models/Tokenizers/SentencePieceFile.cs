using System.Buffers.Binary;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What kind of piece; the numbers are the file's.</summary>
internal enum PieceKind
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// <summary>
/// A SentencePiece model, a protobuf message. Fields beyond those that are used here belong to training. Source:
/// google/sentencepiece, src/sentencepiece_model.proto.
/// </summary>
internal sealed class SentencePieceFile
{
    private readonly string _path;

    private SentencePieceFile(string path) => _path = path;

    /// <summary>All pieces, by id.</summary>
    public List<(string Piece, float Score, PieceKind Kind)> Pieces { get; } = [];

    /// <summary>trainer_spec.model_type: 1 Unigram, 2 BPE.</summary>
    public int ModelType { get; private set; } = 1;

    /// <summary>trainer_spec.byte_fallback.</summary>
    public bool ByteFallback { get; private set; }

    /// <summary>trainer_spec.treat_whitespace_as_suffix.</summary>
    public bool WhitespaceAsSuffix { get; private set; }

    /// <summary>trainer_spec.unk_piece.</summary>
    public string UnknownPiece { get; private set; } = "<unk>";

    /// <summary>trainer_spec.bos_piece.</summary>
    public string BosPiece { get; private set; } = "<s>";

    /// <summary>trainer_spec.eos_piece.</summary>
    public string EosPiece { get; private set; } = "</s>";

    /// <summary>normalizer_spec.precompiled_charsmap; empty: characters stay as they are.</summary>
    public byte[] Charsmap { get; private set; } = [];

    /// <summary>normalizer_spec.add_dummy_prefix.</summary>
    public bool AddDummyPrefix { get; private set; } = true;

    /// <summary>normalizer_spec.remove_extra_whitespaces.</summary>
    public bool RemoveExtraWhitespaces { get; private set; } = true;

    /// <summary>normalizer_spec.escape_whitespaces.</summary>
    public bool EscapeWhitespaces { get; private set; } = true;

    /// <summary>Reads a model.</summary>
    /// <exception cref="LrtMeshException">DATA_LOSS: it is damaged.</exception>
    public static SentencePieceFile Read(string path, byte[] bytes)
    {
        var file = new SentencePieceFile(path);
        file.ReadFields(bytes, (field, value, number) =>
        {
            switch (field)
            {
                case 1:
                    file.ReadPiece(value);
                    break;
                case 2:
                    file.ReadTrainer(value);
                    break;
                case 3:
                    file.ReadNormalizer(value);
                    break;
                case 5:
                    file.ReadDenormalizer(value);
                    break;
            }
        });
        return file.Pieces.Count > 0 ? file : throw file.Damaged("has no pieces");
    }

    private delegate void Field(int field, ReadOnlySpan<byte> value, ulong number);

    private LrtMeshException Damaged(string description) => new(ErrorReason.DataLoss, [new Violation(_path, description)]);

    private void ReadPiece(ReadOnlySpan<byte> bytes)
    {
        var (piece, score, kind) = ("", 0f, PieceKind.Normal);
        ReadFields(bytes, (field, value, number) =>
        {
            switch (field)
            {
                case 1:
                    piece = Text(value);
                    break;
                case 2:
                    score = BitConverter.UInt32BitsToSingle((uint)number);
                    break;
                case 3:
                    kind = (PieceKind)number;
                    break;
            }
        });
        if (!Enum.IsDefined(kind) || !float.IsFinite(score))
        {
            throw Damaged($"pieces[{Pieces.Count}] has the type {(int)kind} and the score {score}");
        }

        Pieces.Add((piece, score, kind));
    }

    private void ReadTrainer(ReadOnlySpan<byte> bytes) => ReadFields(bytes, (field, value, number) =>
    {
        switch (field)
        {
            case 3:
                ModelType = (int)number;
                break;
            case 24:
                WhitespaceAsSuffix = number != 0;
                break;
            case 35:
                ByteFallback = number != 0;
                break;
            case 45:
                UnknownPiece = Text(value);
                break;
            case 46:
                BosPiece = Text(value);
                break;
            case 47:
                EosPiece = Text(value);
                break;
        }
    });

    private void ReadNormalizer(ReadOnlySpan<byte> bytes) => ReadFields(bytes, (field, value, number) =>
    {
        switch (field)
        {
            case 2:
                Charsmap = value.ToArray();
                break;
            case 3:
                AddDummyPrefix = number != 0;
                break;
            case 4:
                RemoveExtraWhitespaces = number != 0;
                break;
            case 5:
                EscapeWhitespaces = number != 0;
                break;
        }
    });

    private void ReadDenormalizer(ReadOnlySpan<byte> bytes) => ReadFields(bytes, (field, value, _) =>
    {
        if (field == 2 && value.Length > 0)
        {
            throw LrtMeshException.Mismatch($"{_path}: denormalizer_spec.precompiled_charsmap", "must be empty: decoded text is not rewritten here");
        }
    });

    private string Text(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Damaged($"has a text that is not UTF-8, near pieces[{Pieces.Count}]");
        }
    }

    // Gives each field's bytes or number; both are checked against what is left.
    private void ReadFields(ReadOnlySpan<byte> bytes, Field read)
    {
        while (bytes.Length > 0)
        {
            var tag = Varint(ref bytes);
            var length = (tag & 7) switch
            {
                0 => 0UL,
                1 => 8UL,
                2 => Varint(ref bytes),
                5 => 4UL,
                _ => throw Damaged($"has a field of wire type {tag & 7}"),
            };
            if (length > (ulong)bytes.Length || tag >> 3 is 0 or > int.MaxValue)
            {
                throw Damaged($"ends in the middle of field {tag >> 3}");
            }

            var value = bytes[..(int)length];
            bytes = bytes[(int)length..];
            var number = (tag & 7) switch
            {
                0UL => Varint(ref bytes),
                1 => BinaryPrimitives.ReadUInt64LittleEndian(value),
                5 => BinaryPrimitives.ReadUInt32LittleEndian(value),
                _ => 0UL,
            };
            read((int)(tag >> 3), value, number);
        }
    }

    private ulong Varint(ref ReadOnlySpan<byte> bytes)
    {
        var value = 0UL;
        for (var i = 0; i < 10 && i < bytes.Length; i++)
        {
            value |= (ulong)(bytes[i] & 0x7F) << (7 * i);
            if (bytes[i] < 0x80)
            {
                bytes = bytes[(i + 1)..];
                return value;
            }
        }

        throw Damaged("ends in the middle of a number");
    }
}
