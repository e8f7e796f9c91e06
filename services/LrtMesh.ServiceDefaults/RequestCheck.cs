using LrtMesh.Core;
using LrtMesh.Core.Store;

namespace LrtMesh.ServiceDefaults;

/// <summary>Gathers what is wrong with a request, so that its answer names all of it at once.</summary>
public sealed class RequestCheck
{
    private readonly List<Violation> _violations = [];
    private bool _onlyRange = true;

    /// <summary>A page size as the store takes it; what is too large it refuses.</summary>
    public static int PageSize(uint requested) => (int)Math.Min(requested, int.MaxValue);

    /// <summary>Notes a wrong field unless <paramref name="holds"/>.</summary>
    /// <returns>Whether it holds.</returns>
    public bool Require(bool holds, string field, string description)
    {
        if (!holds)
        {
            _violations.Add(new Violation(field, description));
            _onlyRange = false;
        }

        return holds;
    }

    /// <summary>Notes a position, layer or length that lies outside what the model has; alone such fields make OUT_OF_RANGE.</summary>
    public bool RequireRange(bool holds, string field, string description)
    {
        if (!holds)
        {
            _violations.Add(new Violation(field, description));
        }

        return holds;
    }

    /// <summary>Notes an enum value that the contract does not know.</summary>
    public bool Known<T>(T value, string field)
        where T : struct, Enum =>
        Require(Enum.IsDefined(value), field, $"{Convert.ToInt32(value, null)} is not a {typeof(T).Name}");

    /// <summary>Notes a name under which nothing can be stored.</summary>
    public void Name(string value, string field) => Gather(() => RecordName.Check(value, field));

    /// <summary>Notes the fields that a check of its own refuses.</summary>
    public void Gather(Action check)
    {
        try
        {
            check();
        }
        catch (LrtMeshException e) when (e.Reason == ErrorReason.InvalidArgument && e.Violations.Count > 0)
        {
            _violations.AddRange(e.Violations);
            _onlyRange = false;
        }
    }

    /// <summary>Throws if anything was wrong.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, or OutOfRange where nothing but ranges were wrong.</exception>
    public void Throw()
    {
        if (_violations.Count > 0)
        {
            throw new LrtMeshException(_onlyRange ? ErrorReason.OutOfRange : ErrorReason.InvalidArgument, _violations);
        }
    }
}
