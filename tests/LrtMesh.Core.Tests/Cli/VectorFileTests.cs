using System.Buffers.Binary;
using System.Text;
using CsCheck;
using LrtMesh.Cli;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class VectorFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-vectors-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("v.gguf")]
    [InlineData("v.safetensors")]
    public async Task What_is_written_is_read_bit_for_bit(string name)
    {
        var directions = new Dictionary<uint, float[]> { [1] = [1.5f, -2.25f, float.Epsilon], [7] = [3, -0f, 1e-30f] };
        await new VectorFile("llama", directions, []).WriteAsync(PathOf(name), TestContext.Current.CancellationToken);

        var read = VectorFile.Read(PathOf(name));

        Assert.Equal("llama", read.Family);
        Assert.Equal([1u, 7u], read.Directions.Keys.Order());
        Assert.Equal(directions[1].Select(BitConverter.SingleToUInt32Bits), read.Directions[1].Select(BitConverter.SingleToUInt32Bits));
        Assert.Equal(directions[7].Select(BitConverter.SingleToUInt32Bits), read.Directions[7].Select(BitConverter.SingleToUInt32Bits));
    }

    [Fact]
    public async Task Safetensors_keep_what_is_known_of_a_vector()
    {
        var vector = new Vector { Name = "polite", Layer = 0, Provenance = new VectorProvenance { Method = VectorMethod.Mapped, Map = "m" } };
        await new VectorFile(null, new Dictionary<uint, float[]> { [0] = [1] }, [vector]).WriteAsync(PathOf("v.safetensors"), TestContext.Current.CancellationToken);

        Assert.Equal([vector], VectorFile.Read(PathOf("v.safetensors")).Vectors);
    }

    [Fact]
    public async Task Gguf_is_laid_out_as_the_format_says()
    {
        await new VectorFile("llama", new Dictionary<uint, float[]> { [2] = [1, 2, 3], [3] = [4, 5, 6] }, []).WriteAsync(PathOf("v.gguf"), TestContext.Current.CancellationToken);

        // By hand from ggml/docs/gguf.md: header, three values, two tensor infos, then data aligned to 32 bytes.
        var due = new MemoryStream();
        using var writer = new BinaryWriter(due);
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write(2ul);
        writer.Write(3ul);
        Text(writer, "general.architecture");
        writer.Write(8u);
        Text(writer, "controlvector");
        Text(writer, "controlvector.model_hint");
        writer.Write(8u);
        Text(writer, "llama");
        Text(writer, "controlvector.layer_count");
        writer.Write(5u);
        writer.Write(2);
        foreach (var (name, offset) in new[] { ("direction.2", 0ul), ("direction.3", 32ul) })
        {
            Text(writer, name);
            writer.Write(1u);
            writer.Write(3ul);
            writer.Write(0u);
            writer.Write(offset);
        }

        foreach (float first in new[] { 1f, 4f })
        {
            writer.Write(new byte[(32 - (due.Length % 32)) % 32]);
            writer.Write(first);
            writer.Write(first + 1);
            writer.Write(first + 2);
        }

        writer.Write(new byte[(32 - (due.Length % 32)) % 32]);
        Assert.Equal(due.ToArray(), await File.ReadAllBytesAsync(PathOf("v.gguf"), TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_control_vector_cannot_carry_layer_0()
    {
        var file = new VectorFile("llama", new Dictionary<uint, float[]> { [0] = [1] }, []);
        var error = await Assert.ThrowsAsync<CommandException>(() => file.WriteAsync(PathOf("v.gguf"), TestContext.Current.CancellationToken));
        Assert.Contains("layer 1", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3", 3u)]
    [InlineData("layer_activations.12", 12u)]
    [InlineData("direction.0", 0u)]
    public void Layouts_of_other_programs_are_read(string tensor, uint layer)
    {
        WriteSafetensors($$$"""{"{{{tensor}}}":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}""", [0x00, 0x3C, 0x00, 0xC0]);

        Assert.Equal([1f, -2f], VectorFile.Read(PathOf("v.safetensors")).Directions[layer]);
    }

    [Theory]
    [InlineData("""{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "weight")]
    [InlineData("""{"direction.-1":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "direction.-1")]
    [InlineData("""{"1":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}""", "2 dimensions")]
    [InlineData("""{"1":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", "does not lie within")]
    [InlineData("""{"1":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}""", "not by its shape")]
    [InlineData("""{"1":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}""", "I64")]
    [InlineData("""{"1":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"direction.1":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", "twice")]
    [InlineData("{}", "no directions")]
    [InlineData("{", "")]
    public void What_is_no_vector_is_refused_by_name(string header, string says)
    {
        WriteSafetensors(header, [0, 0, 0x80, 0x3F]);

        var error = Assert.Throws<CommandException>(() => VectorFile.Read(PathOf("v.safetensors")));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damaged_files_are_refused_or_read_but_never_crash()
    {
        await new VectorFile("llama", new Dictionary<uint, float[]> { [1] = [1, 2, 3], [2] = [4, 5, 6] }, []).WriteAsync(PathOf("v.gguf"), TestContext.Current.CancellationToken);
        byte[] whole = await File.ReadAllBytesAsync(PathOf("v.gguf"), TestContext.Current.CancellationToken);

        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Int[0, whole.Length]).Sample(
            (at, value, length) =>
            {
                byte[] damaged = whole[..length];
                if (at < length)
                {
                    damaged[at] = value;
                }

                string path = PathOf($"{Guid.NewGuid():N}.gguf");
                File.WriteAllBytes(path, damaged);
                try
                {
                    return VectorFile.Read(path).Directions.Values.All(elements => elements.All(float.IsFinite));
                }
                catch (CommandException)
                {
                    return true;
                }
                finally
                {
                    File.Delete(path);
                }
            },
            iter: 2000);
    }

    private string PathOf(string name) => Path.Combine(_folder, name);

    private void WriteSafetensors(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] length = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)json.Length);
        File.WriteAllBytes(PathOf("v.safetensors"), [.. length, .. json, .. data]);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        writer.Write((ulong)text.Length);
        writer.Write(Encoding.UTF8.GetBytes(text));
    }
}
