-- Whether a scoped grant applies to a call. Included where the first one is met: few wallets have any.
local function scope_matcher(facts_text)
  -- Linear glob: `*` is any run of characters, everything else itself.
  local function glob_matches(pattern, text)
    local p, t, star, mark = 1, 1, nil, nil
    while t <= #text do
      local c = sub(pattern, p, p)
      if c == '*' then
        star, mark = p, t
        p = p + 1
      elseif c ~= '' and c == sub(text, t, t) then
        p, t = p + 1, t + 1
      elseif star then
        mark = mark + 1
        p, t = star + 1, mark
      else
        return false
      end
    end
    while sub(pattern, p, p) == '*' do
      p = p + 1
    end
    return p > #pattern
  end

  -- Facts of a call: model;upstream;endpoint;key;run;user;label=value,… each percent-encoded by the caller.
  local function read_facts(text)
    local model, upstream, endpoint, labels = match(text, '^([^;]*);([^;]*);([^;]*);[^;]*;[^;]*;[^;]*;(.*)$')
    if not model then error('facts of an unknown form') end
    return { m = model, u = upstream, e = endpoint, labels = ',' .. labels .. ',' }
  end

  local function filter_of(grant)
    return grant.filter or match(grant.tail, '|([^|]*)$')
  end

  -- Filter of a grant: m=glob,glob;u=glob;e=glob;l=label=value,…: any glob of each, and every label.
  local function applies(grant, facts)
    for name, list in string.gmatch(filter_of(grant), '([muel])=([^;]*)') do
      local any = name == 'l'
      for item in string.gmatch(list, '[^,]+') do
        if name == 'l' then
          any = any and find(facts.labels, ',' .. item .. ',', 1, true) ~= nil
        else
          any = any or glob_matches(item, facts[name])
        end
      end
      if not any then return false end
    end
    return true
  end

  local facts = read_facts(facts_text)
  return function(grant)
    return applies(grant, facts)
  end
end
