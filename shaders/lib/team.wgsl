{# Lines of work for teams: a workgroup of `threads` invocations holds teams of `lanes`, and each team works on one line.
   Lanes of a team are neighbours; with `spread` the same lanes of neighbouring teams are. #}
const LANES: u32 = {{ lanes }}u;
const TEAMS: u32 = {{ threads // lanes }}u;

// The line of an invocation in a folded grid.
fn team_line(group: vec3<u32>, groups: vec3<u32>, local: u32) -> u32 {
    return group_index(group, groups) * TEAMS + {% if spread %}local % TEAMS{% else %}local / LANES{% endif %};
}

// The lane of an invocation in its team.
fn team_lane(local: u32) -> u32 {
    return {% if spread %}local / TEAMS{% else %}local % LANES{% endif %};
}
{% if lanes > 1 %}

var<workgroup> team_values: array<{{ T }}, {{ threads }}>;
{% endif %}
{# The elements `i` of a line that fall to a lane, `unroll` of them in one round of the loop. #}
{% macro each_element(size, unroll) %}
{% if unroll == 1 %}
    for (var i = lane; i < {{ size }}; i += LANES) {
{{ caller() }}
    }
{% else %}
    for (var first = lane; first < {{ size }}; first += {{ unroll }}u * LANES) {
{% for step in range(unroll) %}
        if (first + {{ step }}u * LANES < {{ size }}) {
            let i = first + {{ step }}u * LANES;
{{ caller() }}
        }
{% endfor %}
    }
{% endif %}
{% endmacro %}
{% macro team_function(name, joined, T, lanes, steps, spread) %}
// Joins the values of all lanes of a team by one fixed tree, and gives the result to all of them.
fn {{ name }}(local: u32, value: {{ T }}) -> {{ T }} {
{% if lanes == 1 %}
    return value;
{% else %}
    let lane = team_lane(local);
    // Whoever still reads the result of an earlier call is waited for.
    workgroupBarrier();
    team_values[local] = value;
{% for step in steps %}
    workgroupBarrier();
    if (lane < {{ step }}u) {
        let a = team_values[local];
        let b = team_values[local + {{ step }}u{% if spread %} * TEAMS{% endif %}];
        team_values[local] = {{ joined }};
    }
{% endfor %}
    workgroupBarrier();
    return team_values[{% if spread %}local % TEAMS{% else %}local - lane{% endif %}];
{% endif %}
}
{% endmacro %}
