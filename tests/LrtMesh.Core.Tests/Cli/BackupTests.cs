using System.Text.Json;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>export --all and import --all, as commands against a running mesh.</summary>
public sealed class BackupTests(MeshFixture mesh) : IClassFixture<MeshFixture>, IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-backup-").FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private string Backup => Path.Combine(_folder, "backup");

    private string Profile => Path.Combine(_folder, "mesh.json");

    public async ValueTask InitializeAsync()
    {
        var addresses = new Dictionary<string, Uri> { ["extraction"] = mesh.Mesh.Extraction!.Address, ["mapping"] = mesh.Mesh.Mapping!.Address, ["generation"] = mesh.Mesh.Generation!.Address };
        await File.WriteAllTextAsync(Profile, JsonSerializer.Serialize(addresses), Ct);
        if ((await mesh.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors.Count == 0)
        {
            await FillAsync();
        }
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task What_is_exported_and_deleted_is_imported_again_as_it_was()
    {
        var before = await DescribeAsync();
        Assert.Equal(6, before.Count); // a basis, a map with its control, three vectors
        Assert.Equal((0, 6, 0), Facts(await RunAsync(0, "export", "--all", Backup), "written"));
        await DeleteAllAsync();
        Assert.Empty(await DescribeAsync());

        Assert.Equal((0, 6, 0), Facts(await RunAsync(0, "import", "--all", Backup), "stored"));
        Assert.Equal(before, await DescribeAsync());
        Assert.Equal((0, 0, 6), Facts(await RunAsync(0, "import", "--all", Backup), "stored")); // again: nothing to do
        Assert.Equal(before, await DescribeAsync());
        Assert.All(await VersionsAsync(), version => Assert.Equal(1ul, version));
    }

    [Fact]
    public async Task A_backup_is_brought_up_to_date_and_one_that_was_interrupted_goes_on()
    {
        await RunAsync(0, "export", "--all", Backup);
        Assert.Equal((0, 0, 6), Facts(await RunAsync(0, "export", "--all", Backup), "written"));
        await PutAsync("backup/a", 5);
        Assert.Equal((0, 1, 5), Facts(await RunAsync(0, "export", "--all", Backup), "written"));

        // Interrupted before its end: a journal, cut off in a line, and no list.
        var list = Path.Combine(Backup, "backup.json");
        using (var content = JsonDocument.Parse(await File.ReadAllBytesAsync(list, Ct)))
        {
            var lines = content.RootElement.GetProperty("records").EnumerateArray().Take(4).Select(record => JsonSerializer.Serialize(record)).ToArray();
            await File.WriteAllTextAsync(Path.Combine(Backup, "backup.partial.jsonl"), string.Join('\n', lines[..3]) + "\n" + lines[3][..20], Ct);
        }

        File.Delete(list);
        await RunAsync(1, "import", "--all", Backup); // not whole
        Assert.Equal((0, 3, 3), Facts(await RunAsync(0, "export", "--all", Backup), "written"));
        await RunAsync(0, "import", "--all", Backup);

        // What has been deleted since goes from the backup.
        await PutAsync("backup/passing", 1);
        Assert.Equal((0, 1, 6), Facts(await RunAsync(0, "export", "--all", Backup), "written"));
        await mesh.Vectors.DeleteVectorAsync(new() { Name = "backup/passing" }, cancellationToken: Ct);
        Assert.Equal((0, 0, 6), Facts(await RunAsync(0, "export", "--all", Backup), "written"));
        Assert.Equal(6, Directory.GetFiles(Backup, "*.safetensors", SearchOption.AllDirectories).Length);
    }

    [Fact]
    public async Task A_damaged_file_is_refused_before_anything_is_stored()
    {
        await RunAsync(0, "export", "--all", Backup);
        var before = await DescribeAsync();
        await DeleteAllAsync();
        var file = Directory.GetFiles(Path.Combine(Backup, "vector"))[0];
        var bytes = await File.ReadAllBytesAsync(file, Ct);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(file, bytes, Ct);
        await RunAsync(1, "import", "--all", Backup);
        Assert.Empty(await DescribeAsync());

        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(file, bytes, Ct);
        await RunAsync(0, "import", "--all", Backup);
        Assert.Equal(before, await DescribeAsync());
    }

    [Fact]
    public async Task What_the_store_has_under_a_name_is_replaced_only_if_that_is_said()
    {
        await PutAsync("backup/b", 2);
        await RunAsync(0, "export", "--all", Backup);
        var before = await DescribeAsync();
        await PutAsync("backup/b", 3);
        var other = await DescribeAsync();
        Assert.NotEqual(before, other);
        await RunAsync(1, "import", "--all", Backup);
        Assert.Equal(other, await DescribeAsync());
        await RunAsync(0, "import", "--all", Backup, "--replace");
        Assert.Equal(before, await DescribeAsync());
    }

    [Fact]
    public async Task A_folder_with_something_else_in_it_is_left_alone()
    {
        Directory.CreateDirectory(Backup);
        await File.WriteAllTextAsync(Path.Combine(Backup, "letter.txt"), "Dear", Ct);
        await RunAsync(1, "export", "--all", Backup);
        Assert.Equal("letter.txt", Path.GetFileName(Assert.Single(Directory.GetFileSystemEntries(Backup))));
    }

    private async Task FillAsync()
    {
        var job = await mesh.Mapping.RunJobAsync(
            new()
            {
                Map = "backup/map",
                Source = new LayerRef { Model = "source", Layer = 1 },
                Target = new LayerRef { Model = "target", Layer = 2 },
                Documents = { Documents() },
                Fit = new FitOptions { ShuffledControl = true },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        job = await mesh.Mapping.RunJobAsync(
            new()
            {
                Basis = new BasisRequest { Name = "backup/basis", Rank = 4, Models = { new LayerRef { Model = "source", Layer = 1 }, new LayerRef { Model = "target", Layer = 2 } } },
                Documents = { Documents() },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        await PutAsync("backup/a", 1);
        await PutAsync("backup/b", 2);
        await mesh.Mapping.TransferVectorAsync(new() { Vector = "backup/a", Map = "backup/map", Name = "backup/A" }, cancellationToken: Ct); // differs in case alone
    }

    private static IEnumerable<Document> Documents() => TinyCheckpoint.Texts(100).Select(text => new Document { Text = text });

    private async Task PutAsync(string name, int seed) => await mesh.Vectors.PutVectorAsync(
        new()
        {
            Vector = new Vector { Name = name, Model = "source", Layer = 1, Provenance = new() { Method = VectorMethod.Given } },
            Elements = MeshCalls.Elements([.. Enumerable.Range(0, 16).Select(i => (float)Math.Sin(seed + i))]),
        },
        cancellationToken: Ct);

    /// <summary>Every record as it is described, but for what the server sets when it stores it.</summary>
    private async Task<IReadOnlyList<string>> DescribeAsync()
    {
        var descriptions = new List<string>();
        foreach (var vector in (await mesh.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors)
        {
            (vector.Version, vector.StoredAt) = (0, null);
            descriptions.Add(vector.ToString());
        }

        foreach (var brief in (await mesh.Mapping.ListMapsAsync(new(), cancellationToken: Ct)).Maps)
        {
            var map = (await mesh.Mapping.GetMapAsync(new() { Name = brief.Name }, cancellationToken: Ct)).Map;
            (map.Version, map.StoredAt) = (0, null);
            descriptions.Add(map.ToString());
        }

        foreach (var brief in (await mesh.Mapping.ListBasesAsync(new(), cancellationToken: Ct)).Bases)
        {
            var basis = (await mesh.Mapping.GetBasisAsync(new() { Name = brief.Name }, cancellationToken: Ct)).Basis;
            (basis.Version, basis.StoredAt) = (0, null);
            descriptions.Add(basis.ToString());
        }

        return descriptions;
    }

    private async Task<IReadOnlyList<ulong>> VersionsAsync() =>
    [
        .. (await mesh.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors.Select(vector => vector.Version),
        .. (await mesh.Mapping.ListMapsAsync(new(), cancellationToken: Ct)).Maps.Select(map => map.Version),
        .. (await mesh.Mapping.ListBasesAsync(new(), cancellationToken: Ct)).Bases.Select(basis => basis.Version),
    ];

    private async Task DeleteAllAsync()
    {
        foreach (var vector in (await mesh.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors)
        {
            await mesh.Vectors.DeleteVectorAsync(new() { Name = vector.Name }, cancellationToken: Ct);
        }

        foreach (var map in (await mesh.Mapping.ListMapsAsync(new(), cancellationToken: Ct)).Maps)
        {
            await mesh.Mapping.DeleteMapAsync(new() { Name = map.Name }, cancellationToken: Ct);
        }

        foreach (var basis in (await mesh.Mapping.ListBasesAsync(new(), cancellationToken: Ct)).Bases)
        {
            await mesh.Mapping.DeleteBasisAsync(new() { Name = basis.Name }, cancellationToken: Ct);
        }
    }

    /// <summary>Runs a command.</summary>
    /// <returns>Its facts; nothing where it fails.</returns>
    private async Task<JsonElement> RunAsync(int exitCode, params string[] arguments)
    {
        var json = Path.Combine(_folder, $"{Guid.NewGuid():N}.json");
        Assert.Equal(exitCode, await LrtMesh.Cli.Program.Root().Parse([.. arguments, "--mesh", Profile, "--json", json]).InvokeAsync(cancellationToken: Ct));
        return exitCode == 0 ? JsonDocument.Parse(await File.ReadAllBytesAsync(json, Ct)).RootElement : default;
    }

    private static (int Lost, int New, int Kept) Facts(JsonElement facts, string counted) =>
        (facts.TryGetProperty("damaged", out var damaged) ? damaged.GetArrayLength() : facts.GetProperty("others").GetArrayLength(), facts.GetProperty(counted).GetInt32(), facts.GetProperty("kept").GetInt32());
}
