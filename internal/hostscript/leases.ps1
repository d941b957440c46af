try{Locked{foreach($t in @(Leases)){"winrmkit: id=$($t.Name.Substring(8));was=$(Was $t)"}}}catch{[Console]::Error.WriteLine($_.Exception.Message);exit 1}
