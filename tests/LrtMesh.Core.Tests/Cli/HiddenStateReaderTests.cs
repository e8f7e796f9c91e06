using System.Runtime.InteropServices;
using Google.Protobuf;
using LrtMesh.Client;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>What the C# client, and with it the command line, makes of a stream of hidden states.</summary>
public sealed class HiddenStateReaderTests
{
    private static readonly byte[] Row = MemoryMarshal.AsBytes<float>([1, 2]).ToArray();

    [Fact]
    public void A_whole_stream_is_passed_on()
    {
        using var reader = Open();
        Assert.Null(reader.Take(Rows()));
        Assert.Null(reader.Take(Chunk(0, Row[..4])));
        var block = reader.Take(Chunk(4, Row[4..]));
        reader.Finish();

        Assert.Equal(Row, block!.Bytes[0].ToArray());
        Assert.Equal([1f, 2f], block.Layers[0]);
        Assert.Equal((2, 5u), (block.Width, block.Labels.TokenId[0]));
    }

    [Fact]
    public void Damage_gaps_and_ends_that_come_early_are_refused()
    {
        var damaged = Chunk(0, Row);
        damaged.Chunk.Crc32C ^= 1;
        Refused("wrong crc32c", Rows(), damaged);
        Refused("out of place", Rows(), Chunk(4, Row[4..]));
        Refused("out of place", Rows(), Chunk(0, [.. Row, 0]));
        Refused("within a block", Rows(), Chunk(0, Row[..4]));
        Refused("unexpected part", Rows(), Chunk(0, Row[..4]), Rows());
        Refused("unexpected part", Chunk(0, Row));
    }

    [Fact]
    public void A_header_that_does_not_fit_the_request_is_refused_before_its_bytes()
    {
        var wide = Rows();
        wide.Rows.Layers[0].Shape[1] = 1ul << 40;
        Refused("not 1 layers of Float32 and shape [1, 2]", wide);
        var half = Rows();
        (half.Rows.Layers[0].Dtype, half.Rows.Layers[0].ByteLength) = (Dtype.Float16, 4);
        Refused("not 1 layers of Float32", half);
        var uneven = Rows();
        uneven.Rows.Position.Add(1);
        Refused("labels of unequal number", uneven);
        var spans = Rows();
        spans.Rows.Span.Add([0, 1]);
        Refused("labels of unequal number", spans);
        var two = Rows();
        two.Rows.Layers.Add(two.Rows.Layers[0].Clone());
        Refused("not 1 layers", two);
    }

    private static void Refused(string says, params ExtractHiddenStatesResponse[] responses)
    {
        using var reader = Open();
        var error = Assert.Throws<BrokenTensorException>(() =>
        {
            foreach (var response in responses)
            {
                reader.Take(response);
            }

            reader.Finish();
        });
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    private static HiddenStateReader Open()
    {
        var reader = new HiddenStateReader(new ExtractionSpec { Layers = { 1 } });
        reader.Take(new ExtractHiddenStatesResponse { Started = new ExtractionStarted { Width = 2 } });
        return reader;
    }

    private static ExtractHiddenStatesResponse Rows() => new()
    {
        Rows = new RowBlock
        {
            Sequence = { 0 },
            Position = { 0 },
            TokenId = { 5 },
            CharStart = { 0 },
            CharEnd = { 3 },
            Layers = { new TensorHeader { Dtype = Dtype.Float32, Shape = { 1, 2 }, ByteLength = 8 } },
        },
    };

    private static ExtractHiddenStatesResponse Chunk(ulong offset, byte[] data) => new()
    {
        Chunk = new TensorChunk { Tensor = 0, Offset = offset, Data = ByteString.CopyFrom(data), Crc32C = V1.Crc32C.Compute(data) },
    };
}
