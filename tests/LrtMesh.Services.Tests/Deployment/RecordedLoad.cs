using System.Globalization;
using LrtMesh.TestKit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>
/// What one replica of a role was asked for, and what it took, as its metrics tell: tests/load/recorded.csv. What came between two rows is what ended between them and by how much what is
/// in hand has grown.
/// </summary>
internal sealed class RecordedLoad
{
    private readonly double[] _seconds; // of each row, from the first
    private readonly double[] _inHand; // likewise
    private readonly double[] _ended;
    private readonly double[] _used; // CPU-seconds

    private RecordedLoad(double[] seconds, double[] inHand, double[] ended, double[] used) => (_seconds, _inHand, _ended, _used) = (seconds, inHand, ended, used);

    /// <summary>Seconds from the first row to the last.</summary>
    public double Length => _seconds[^1];

    /// <summary>CPU-seconds that a request took, over all of it.</summary>
    public double CpuSeconds => (_used[^1] - _used[0]) / (_ended[^1] - _ended[0]);

    /// <summary>Seconds that a request took while few came, in the first minute: those in hand, on average, by those that ended in a second.</summary>
    public double Seconds
    {
        get
        {
            var rows = Array.FindLastIndex(_seconds, second => second <= 60) + 1;
            return _inHand.Take(rows).Average() * _seconds[rows - 1] / (_ended[rows - 1] - _ended[0]);
        }
    }

    /// <summary>Seconds of a request where one is worked at after the other: those in which some was in hand, by those that ended.</summary>
    public double SecondsOneByOne => Enumerable.Range(1, _seconds.Length - 1).Where(row => _inHand[row - 1] > 0 || _inHand[row] > 0).Sum(Interval) / (_ended[^1] - _ended[0]);

    /// <summary>Reads a role's part.</summary>
    /// <param name="used">Column of the CPU-seconds used.</param>
    /// <param name="ended">Column of the requests that have ended.</param>
    /// <param name="inHand">Columns whose sum is the requests in hand.</param>
    public static async Task<RecordedLoad> ReadAsync(string used, string ended, params string[] inHand)
    {
        var lines = await File.ReadAllLinesAsync(Path.Combine(RepositoryRoot.Find(), "tests", "load", "recorded.csv"));
        var names = lines[1].Split(','); // below the command that made it
        double[][] rows = [.. lines.Skip(2).Select(line => line.Split(',').Select(value => double.Parse(value, CultureInfo.InvariantCulture)).ToArray())];
        double[] Sum(params string[] columns) => [.. rows.Select(row => columns.Sum(name => row[Array.IndexOf(names, name)]))];
        return new([.. Sum("second").Select(second => second - rows[0][0])], Sum(inHand), Sum(ended), Sum(used));
    }

    /// <summary>Requests that came in a second.</summary>
    /// <param name="second">When, from the first row on.</param>
    public double At(double second)
    {
        var row = Array.FindIndex(_seconds, end => end > second);
        row = row < 0 ? _seconds.Length - 1 : row;
        return Math.Max(0, (_ended[row] - _ended[row - 1] + _inHand[row] - _inHand[row - 1]) / Interval(row));
    }

    /// <summary>Seconds from the row before to this one.</summary>
    private double Interval(int row) => _seconds[row] - _seconds[row - 1];
}
